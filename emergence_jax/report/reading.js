// Reading values: the mark at a step, and the seed at the pointer.

/** The index of the checkpoint of a curve that is nearest to a step. */
function nearest(curve, step) {
  const distance = curve.step.map(s => Math.abs(scale.to(s) - scale.to(step)));
  return distance.indexOf(extent(distance)[0]);
}

/** What is drawn of a line at one of its checkpoints, in words. */
function valueAt({curve, called}, j, drawn, isBand) {
  const {mid, low, high} = curve, said = [];
  const band = ` [${words(low[j])}, ${words(high[j])}]`;
  if (isBand || !drawn.length)
    said.push(words(mid[j]) + (curve.seeds.length > 1 ? band : ''));
  const values = drawn.map(i => curve.seeds[i][j]);
  if (drawn.length === 1)
    said.push(`${called[drawn[0]]}: ${words(values[0])}`);
  else if (drawn.length && !isBand) {
    const [least, most] = extent(values.filter(v => v !== null));
    said.push(`${words(least)} to ${words(most)}`);
  }
  return said.join(', ');
}

/** The seed whose line is nearest to a place, and how far off it is. */
function nearestSeed(panel, step, place) {
  const view = viewOf();
  let best = {distance: Infinity};
  for (const line of onOf(panel, view)) {
    const j = nearest(line.curve, step);
    for (const i of seedsOf(line, view)) {
      const distance = Math.abs(panel.y.to(line.curve.seeds[i][j]) - place);
      if (distance < best.distance)
        best = {distance, line, i, value: line.curve.seeds[i][j]};
    }
  }
  return best;
}

/** Draws the seed at the pointer thickly, and says which it is. */
function pointAt(panel, step, place) {
  const room = 0.06 * (panel.figure.y_range.end - panel.figure.y_range.start);
  const {distance, line, i, value} = nearestSeed(panel, step, place);
  for (const other of shown) if (other !== panel) other.highlight(null);
  panel.highlight(distance < room ? line : null, i);
  if (distance < room)
    pick('at').textContent += ` · ${panel.label}, ${line.called[i]}: ${words(value)}`;
}

/** Marks a step in all panels and writes the values there. */
function mark(step) {
  at = step;
  pick('at').textContent = step === null
    ? 'Point at a panel, or press an arrow key on it, to read values.'
    : `${form.axis.value} ${words(step, 6)}`;
  const view = viewOf();
  for (const panel of shown) {
    panel.cross.setv({visible: step !== null, location: scale.to(step ?? 0)});
    panel.lines.forEach((line, i) => {
      const j = step === null ? -1 : nearest(line.curve, step);
      const drawn = seedsOf(line, view);
      panel.values[i].textContent = j < 0
        ? '' : ` ${valueAt(line, j, drawn, view.band)}`;
    });
  }
}

/** All checkpoints of what is shown, in order. */
const checkpoints = () => [...new Set(
  shown.flatMap(p => p.lines.flatMap(l => l.curve.step)))].sort((a, b) => a - b);

/** The checkpoint that is nearest to a place on the axis of steps. */
function snap(place) {
  const distance = step => Math.abs(scale.to(step) - place);
  return checkpoints().reduce(
    (best, s) => distance(s) < distance(best) ? s : best, Infinity);
}

/** Steps the mark by one checkpoint. */
function move(by) {
  const [from, to] = zoom ?? [0, Infinity];
  const steps = checkpoints().filter(s => s >= from && s <= to);
  const old = at === null ? (by > 0 ? -1 : steps.length) : steps.indexOf(at);
  mark(steps[Math.min(Math.max(old + by, 0), steps.length - 1)] ?? null);
}

/** Words of a panel for those who do not see it. */
const described = panel => `${panel.label}: ` + panel.lines.map(l => {
  const j = l.curve.mid.length - 1;
  const [first, last] = [0, j].map(i =>
    `${words(l.curve.mid[i])} at ${form.axis.value} ${words(l.curve.step[i], 6)}`);
  return `${l.name}, median from ${first} to ${last}`;
}).join('; ');
