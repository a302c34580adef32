// Panels of one task, drawn by Bokeh: curves of the chosen runs over steps.

const dark = matchMedia('(prefers-color-scheme: dark)');
const coarse = matchMedia('(pointer: coarse)');
// Runs over one another have these colours; one run has those of its curves.
const RUN_COLOURS = document.getElementById('data').dataset.colours.split(' ');
const onDark = colour => dark.matches && colour === '#000000' ? '#ffffff' : colour;
const ink = () => dark.matches ? '#d0d0d0' : '#333333';
const faint = () => dark.matches ? '#3a3a3a' : '#e2e2e2';

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

/** Panel → what is drawn in it: curves with their run, colour and opacity. */
function panelsOf(data, view) {
  const byLabel = new Map(), chosen = chosenRuns(data, view);
  chosen.forEach((run, r) => {
    const task = data[run].tasks[view.task];
    for (const [label, panel] of Object.entries(task.panels)) {
      const shown = byLabel.get(label) ?? {
        label, scale: panel.scale, usable: 0, of: 0, lines: []};
      byLabel.set(label, shown);
      shown.usable += panel.usable;
      shown.of += panel.of;
      panel.curves.forEach((curve, i) => shown.lines.push({
        curve, run, seeds: data[run].seeds,
        name: chosen.length > 1 ? `${run}, ${curve.name}` : curve.name,
        colour: onDark(chosen.length > 1 ? RUN_COLOURS[r % 8] : curve.colour),
        opacity: chosen.length > 1 ? (i + 1) / panel.curves.length : 1,
      }));
    }
  });
  return [...byLabel.values()];
}

/** Which seeds of a line are drawn: indices. */
const seedsOf = (line, view) => line.seeds.map((seed, i) => [seed, i])
  .filter(([seed]) => view.seeds === 'all' || String(seed) === view.seeds)
  .map(([, i]) => i);

/** Estimates of a line that are not ok and are drawn: seed, step, value. */
const flaggedOf = (line, view) => line.curve.flagged.filter(
  ([i]) => view.band || seedsOf(line, view).includes(i));

/** The values that a panel shows between two steps. */
function shownValues(panel, view, from, to) {
  const values = [];
  for (const line of panel.lines) {
    const sets = view.band
      ? [line.curve.low, line.curve.high, line.curve.mid] : [];
    for (const i of seedsOf(line, view)) sets.push(line.curve.seeds[i]);
    line.curve.step.forEach((step, j) => {
      if (step < from || step > to) return;
      for (const set of sets) if (set[j] !== null) values.push(set[j]);
    });
  }
  if (values.length) return values;
  return panel.lines.flatMap(l => l.curve.flagged.map(f => f[2]));
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

/** Emergence of each level, floor of RankMe and half of its rise. */
function drawMarks(figure, data, view, x) {
  const mark = (step, look) => step === null || figure.add_layout(new Bokeh.Span({
    location: x.to(step), dimension: 'height', line_width: 1, ...look}));
  const chosen = chosenRuns(data, view);
  chosen.forEach((run, r) => {
    const task = data[run].tasks[view.task], own = onDark(RUN_COLOURS[r % 8]);
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
  figure.below[0].axis_label = axis === 'tokens' ? 'tokens' : 'training step';
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
  for (const line of panel.lines) drawLine(figure, line, view, x, y);
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
  follow();
  return {...panel, figure, cross, follow};
}
