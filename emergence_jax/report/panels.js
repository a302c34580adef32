// Panels of one task, drawn by Bokeh: curves of the chosen runs over steps.

const dark = matchMedia('(prefers-color-scheme: dark)');
const coarse = matchMedia('(pointer: coarse)');
const ink = () => dark.matches ? '#d0d0d0' : '#333333';
const faint = () => dark.matches ? '#3a3a3a' : '#e2e2e2';

const AXES = {
  step: 'training step', tokens: 'tokens', hours: 'hours of computing'};

/** An element with attributes, properties and children. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** The chosen runs that have the chosen task. */
const chosenRuns = (data, view) =>
  view.runs.filter(run => view.task in data[run].tasks);

/** Whether nothing but zeros would be drawn. */
const isZero = panel => panel.lines.every(({curve}) =>
  !curve.flagged.length && curve.seeds.every(s => s.every(v => !v)));

/** A line for each curve of a run's panel that is asked for. */
function linesOf(data, view, run, panel, several) {
  const places = placesOf(data, view.group);
  const named = panel.curves.some(c => c.name === view.curves);
  const called = calledBy(data, run, view.group);
  return panel.curves.flatMap((curve, i) => named && curve.name !== view.curves
    ? [] : [{
      curve, run, seeds: data[run].seeds,
      called: data[run].seeds.map(
        seed => several ? `${run}, seed ${seed}` : `seed ${seed}`),
      name: !several ? curve.name
        : panel.curves.length > 1 ? `${called}, ${curve.name}` : called,
      colour: several ? colourOf(places[run]) : onDark(curve.colour),
      opacity: several && !named ? (i + 1) / panel.curves.length : 1,
    }]);
}

/** Panel → what is drawn in it: curves with their run, colour and opacity. */
function panelsOf(data, view) {
  const byLabel = new Map(), chosen = chosenRuns(data, view);
  for (const run of chosen)
    for (const [label, panel] of Object.entries(data[run].tasks[view.task].panels)) {
      const shown = byLabel.get(label) ?? {
        label, scale: panel.scale, usable: 0, of: 0, lines: []};
      byLabel.set(label, shown);
      shown.usable += panel.usable;
      shown.of += panel.of;
      shown.lines.push(...linesOf(data, view, run, panel, chosen.length > 1));
    }
  return [...byLabel.values()].map(panel => {
    const lines = view.group ? pooled(panel.lines) : panel.lines;
    return {...panel, lines: lines.map(
      l => ({...l, curve: smoothCurve(l.curve, view.smooth)}))};
  });
}

/** Which seeds of a line are drawn: indices. */
const seedsOf = (line, view) => line.seeds.map((seed, i) => [seed, i])
  .filter(([seed]) => view.seeds === 'all' || String(seed) === view.seeds)
  .map(([, i]) => i);

/** Estimates of a line that are not ok and are drawn: seed, step, value. */
const flaggedOf = (line, view) => line.curve.flagged.filter(
  ([i]) => view.band || seedsOf(line, view).includes(i));

/** The lines of a panel that the legend has not switched off. */
const onOf = (panel, view) =>
  panel.lines.filter(line => !view.off.has(line.name));

/** The values that a panel shows between two steps. */
function shownValues(panel, view, from, to) {
  const values = [], lines = onOf(panel, view);
  for (const line of lines) {
    const sets = view.band
      ? [line.curve.low, line.curve.high, line.curve.mid] : [];
    for (const i of seedsOf(line, view)) sets.push(line.curve.seeds[i]);
    line.curve.step.forEach((step, j) => {
      if (step < from || step > to) return;
      for (const set of sets) if (set[j] !== null) values.push(set[j]);
    });
  }
  if (values.length) return values;
  return lines.flatMap(l => l.curve.flagged.map(f => f[2]));
}

/** Puts round ticks on an axis, and lines of the grid there. */
function setTicks(axis, grid, scale, low, high, most) {
  const places = ticksOf(scale, low, high, most).map(scale.to);
  axis.ticker = new Bokeh.FixedTicker({ticks: places});
  grid.ticker = axis.ticker;
}

/** Draws one line: its band, its seeds, its median, and what is not ok. */
function drawLine(figure, line, view, x, y) {
  const {curve, colour, opacity} = line;
  const known = curve.step.map((_, j) => j).filter(j => curve.mid[j] !== null);
  const at = known.map(j => x.to(curve.step[j]));
  const along = values => known.map(j => values[j] === null ? NaN : y.to(values[j]));
  if (view.band) {
    figure.varea(at, along(curve.low), along(curve.high),
      {fill_color: colour, fill_alpha: 0.18 * opacity});
  }
  const seeds = seedsOf(line, view);
  const thin = seeds.length > 1 ? 0.45 : 0.9;
  // All at once: each renderer costs milliseconds.
  if (seeds.length)
    figure.multi_line(seeds.map(() => at), seeds.map(i => along(curve.seeds[i])),
      {line_color: colour, line_width: 1, line_alpha: thin * opacity});
  if (view.band)
    figure.line(at, along(curve.mid),
      {line_color: colour, line_width: 2.2, line_alpha: opacity});
  const flagged = flaggedOf(line, view);
  if (flagged.length)
    figure.scatter(flagged.map(f => x.to(f[1])), flagged.map(f => y.to(f[2])), {
      marker: 'circle', size: 5, fill_color: null, line_color: colour,
      line_alpha: 0.6,
    });
}

/** Marks of more runs than these cannot be told apart. */
const MOST_MARKED = 4;

/** Emergence of each level, floor of RankMe and half of its rise; of a few runs. */
function drawMarks(figure, data, view, x) {
  const mark = (step, look) => step === null || figure.add_layout(new Bokeh.Span({
    location: x.to(step), dimension: 'height', line_width: 1, ...look}));
  const chosen = chosenRuns(data, view);
  if (chosen.length > MOST_MARKED) return;
  const places = placesOf(data, view.group);
  chosen.forEach(run => {
    const task = data[run].tasks[view.task], own = colourOf(places[run]);
    task.emergence.forEach((step, i) => mark(step, {
      line_dash: 'dashed', line_alpha: 0.8,
      line_color: chosen.length > 1 ? own : onDark(task.colours[i])}));
    task.rank.forEach(step => mark(step, {
      line_dash: 'dotted', line_color: chosen.length > 1 ? own : ink()}));
  });
}

/** An empty figure over a range of steps, with the look of the page. */
function makeFigure(range, x, y, isLarge, axis) {
  const box = new Bokeh.BoxZoomTool({dimensions: 'width'});
  const figure = new Bokeh.Plotting.Figure({
    height: isLarge ? 460 : 210, sizing_mode: 'stretch_width', x_range: range,
    y_range: new Bokeh.Range1d({start: 0, end: 1}), toolbar_location: null,
    tools: [box], min_border: 4, min_border_left: 54, min_border_right: 12,
    background_fill_color: null, border_fill_color: null,
    outline_line_color: null,
  });
  // A finger scrolls the page; a mouse zooms.
  figure.toolbar.active_drag = coarse.matches ? null : box;
  for (const axis of [figure.below[0], figure.left[0]]) Object.assign(axis, {
    axis_line_color: ink(), major_tick_line_color: ink(),
    major_label_text_color: ink(), axis_label_text_color: ink(),
    major_label_text_font_size: '11px', axis_label_text_font_size: '11px',
    axis_label_text_font_style: 'normal', minor_tick_line_color: null,
  });
  figure.below[0].axis_label = AXES[axis];
  // An axis says the values of its places.
  for (const [axis, scale] of [[figure.below[0], x], [figure.left[0], y]])
    axis.formatter.doFormat = places => places.map(p => words(scale.from(p), 6));
  const [acrossX, acrossY] = figure.center;
  acrossX.grid_line_color = acrossY.grid_line_color = faint();
  return figure;
}

/** A panel: its Bokeh figure, and how it follows range of steps and width. */
function makePanel(panel, data, view, x, range, isLarge, width) {
  const every = shownValues(panel, view, -Infinity, Infinity);
  const y = scaleOf(view.values === 'own' ? panel.scale : view.values, every);
  const figure = makeFigure(range, x, y, isLarge, view.axis);
  const [acrossX, acrossY] = figure.center;
  for (const line of onOf(panel, view)) drawLine(figure, line, view, x, y);
  const chosenSeed = figure.line([], [], {line_width: 3});
  drawMarks(figure, data, view, x);
  const cross = new Bokeh.Span({
    location: 0, dimension: 'height', line_color: ink(), line_width: 1,
    level: 'overlay', visible: false});
  figure.add_layout(cross);
  const follow = () => {
    const [from, to] = [range.start, range.end];
    const values = shownValues(panel, view, x.from(from) - 0.5, x.from(to) + 0.5);
    const places = values.map(y.to).filter(Number.isFinite);
    const [low, high] = places.length ? extent(places) : [0, 1];
    const room = 0.05 * (high - low) || 0.5 * Math.abs(high) || 0.5;
    figure.y_range.setv({start: low - room, end: high + room});
    setTicks(figure.left[0], acrossY, y, low - room, high + room,
      isLarge ? 14 : 6);
    setTicks(figure.below[0], acrossX, x, from, to, (width() - 66) / 48);
  };
  let thick = null;
  /** Draws one seed thickly, none without a line; what is so stays as it is. */
  const highlight = (line, i) => {
    const wanted = line ? `${line.name} ${i}` : null;
    if (wanted === thick) return;
    thick = wanted;
    const at = (line?.curve.step ?? []).filter(
      (_, j) => line.curve.seeds[i][j] !== null);
    chosenSeed.glyph.line_color = line?.colour ?? null;
    chosenSeed.data_source.data = {x: at.map(x.to), y: at.map(
      step => y.to(line.curve.seeds[i][line.curve.step.indexOf(step)]))};
  };
  follow();
  return {...panel, figure, cross, follow, highlight, y};
}
