// The page: what is chosen, in its form and in its address, and what is shown.

const pick = id => document.getElementById(id);
const form = pick('view'), plots = pick('plots');
if (!('DecompressionStream' in window))
  plots.textContent = 'This browser is too old for the panels (it has no '
    + 'DecompressionStream); the same figures are in figures/anatomy_….';
const packed = pick('data').textContent;
const bytes = Uint8Array.from(atob(packed), c => c.charCodeAt(0));
const inSteps = await new Response(new Blob([bytes]).stream().pipeThrough(
  new DecompressionStream('gzip'))).json();
const runs = Object.keys(inSteps);
const hasTokens = runs.every(run => inSteps[run].tokens);
let data = inSteps, tokenData = null;
const zooms = [];  // the ranges before this one, [from, to] in steps
let shown = [], range = null, steps = null, scale = null, manager = null;
let zoom = null, at = null, section = '', isBack = false, drawing = 0;

const viewOf = () => {
  const chosen = new FormData(form);
  return {
    runs: chosen.getAll('run'), task: chosen.get('task'),
    panel: chosen.get('panel'), seeds: chosen.get('seeds'),
    band: chosen.has('band'), steps: chosen.get('steps'),
    values: chosen.get('values'), axis: chosen.get('axis'),
  };
};

/** Writes what is chosen into the address, where it survives a reload. */
function keep() {
  const words = new URLSearchParams(new FormData(form));
  if (!words.has('band')) words.set('band', 'off');
  ['from', 'to'].forEach((name, i) => {
    if (zoom) words.set(name, Number(zoom[i].toPrecision(5)));
  });
  if (section) words.set('section', section);
  history.replaceState(null, '', `#${words}`);
}

/** Options of a select; what was chosen stays so if it is still there. */
function fill(select, names, shownAs = n => n) {
  const old = select.value;
  select.replaceChildren(...names.map(n => new Option(shownAs(n), n)));
  if (names.includes(old)) select.value = old;
}

/** Fills the choices that depend on the others. */
function fillChoices() {
  const chosen = viewOf().runs;
  const some = chosen.length ? chosen : runs.slice(0, 1);
  fill(form.task, [...new Set(some.flatMap(r => Object.keys(data[r].tasks)))]);
  const seeds = [...new Set(some.flatMap(r => data[r].seeds))];
  fill(form.seeds, ['none', 'all', ...seeds.map(String)],
    n => ({none: 'none', all: 'all'})[n] ?? `seed ${n}`);
  fill(form.panel, ['all', ...panelsOf(data, viewOf()).map(p => p.label)]);
}

/** Takes what is chosen from the address. */
function restore() {
  const words = new URLSearchParams(location.hash.slice(1));
  if (!location.hash.includes('=')) return;
  const wanted = words.getAll('run').filter(r => runs.includes(r));
  for (const box of form.querySelectorAll('[name=run]'))
    box.checked = wanted.length ? wanted.includes(box.value) : box.checked;
  form.band.checked = words.get('band') !== 'off';
  for (const name of ['axis', 'task', 'seeds', 'steps', 'values', 'panel']) {
    fillChoices();
    const options = [...form[name].options].map(o => o.value);
    if (options.includes(words.get(name))) form[name].value = words.get(name);
  }
  const ends = ['from', 'to'].map(k => parseFloat(words.get(k)));
  zoom = ends[1] > ends[0] ? ends : null;
  if (words.has('section')) show(words.get('section'));
}

/** Brings a part of the page into view, and opens what it is folded into. */
function show(id) {
  const target = pick(id);
  if (!target) return;
  section = id;
  const folded = target.closest('details');
  if (folded) folded.open = true;
  target.scrollIntoView();
  target.querySelector('h2')?.focus({preventScroll: true});
}

/** The index of the checkpoint of a curve that is nearest to a step. */
function nearest(curve, step) {
  const distance = curve.step.map(s => Math.abs(scale.to(s) - scale.to(step)));
  return distance.indexOf(extent(distance)[0]);
}

/** What is drawn of a line at one of its checkpoints, in words. */
function valueAt({curve, seeds}, j, drawn, isBand) {
  const {mid, low, high} = curve, said = [];
  const band = ` [${words(low[j])}, ${words(high[j])}]`;
  if (isBand || !drawn.length)
    said.push(words(mid[j]) + (curve.seeds.length > 1 ? band : ''));
  const values = drawn.map(i => curve.seeds[i][j]);
  if (drawn.length === 1)
    said.push(`seed ${seeds[drawn[0]]}: ${words(values[0])}`);
  else if (drawn.length && !isBand) {
    const [least, most] = extent(values.filter(v => v !== null));
    said.push(`${words(least)} to ${words(most)}`);
  }
  return said.join(', ');
}

/** Marks a step in all panels and writes the values there. */
function mark(step) {
  at = step;
  pick('at').textContent = step === null
    ? 'Point at a panel, or press an arrow key on it, to read values.'
    : `${form.axis.value} ${words(step, 9)}`;
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
    `${words(l.curve.mid[i])} at ${form.axis.value} ${words(l.curve.step[i], 9)}`);
  return `${l.name}, median from ${first} to ${last}`;
}).join('; ');

/** The elements around a figure: its title, which enlarges it, and legend. */
function frame(panel, isLarge) {
  const title = element('button', {type: 'button', 'aria-pressed': isLarge,
    title: isLarge ? 'All panels' : 'This panel alone, and large'}, panel.label);
  title.onclick = () => {
    form.panel.value = isLarge ? 'all' : panel.label;
    change();
  };
  panel.values = panel.lines.map(() => element('span'));
  const legend = element('ul', {}, ...panel.lines.map((line, i) => {
    const swatch = element('i', {});
    Object.assign(swatch.style, {background: line.colour, opacity: line.opacity});
    return element('li', {}, swatch, line.name, panel.values[i]);
  }));
  if (panel.usable < panel.of) legend.append(element('li', {class: 'hollow'},
    `○ ${words(panel.usable, 9)} of ${words(panel.of, 9)} usable`));
  const place = element('div', {class: 'plot', role: 'img',
    'aria-label': described(panel)});
  const whole = element('figure', {class: 'panel'},
    element('h3', {}, title), place, legend);
  return {whole, place};
}

/** Shows a range of steps; all of them if there is none. */
function zoomTo(ends) {
  const [from, to] = ends ?? steps;
  range.setv({start: scale.to(from), end: scale.to(to)});
}

/** What follows a new range: it is kept, with the one before for the way back. */
function follow() {
  const places = [range.start, range.end];
  const isAt = ends => ends !== null
    && ends.every((s, i) => Math.abs(scale.to(s) - places[i]) < 1e-6);
  if (!isAt(zoom ?? steps)) {
    if (!isBack) zooms.push(zoom);
    zoom = isAt(steps) ? null : places.map(p => Math.max(scale.from(p), 0));
  }
  isBack = false;
  for (const panel of shown) panel.follow();
  pick('back').disabled = !zoom;
  keep();
}

/** The width of a panel, by the columns of the style sheet. */
function width() {
  const style = getComputedStyle(plots);
  return parseFloat(style.gridTemplateColumns.split(' ')[0]);
}

/** Draws everything that is chosen. */
async function draw() {
  const own = ++drawing;
  const view = viewOf();
  data = inSteps;
  if (view.axis === 'tokens' && hasTokens)
    data = tokenData ??= inTokens(inSteps);
  const every = panelsOf(data, view);
  const isLarge = view.panel !== 'all' && every.some(p => p.label === view.panel);
  const wanted = isLarge ? every.filter(p => p.label === view.panel) : every;
  const all = every.flatMap(p => p.lines.flatMap(l => l.curve.step));
  const [first] = extent(all.filter(s => s > 0));
  const last = Math.max(extent(all)[1], 1);
  steps = [Math.min(extent(all)[0], last), last];
  scale = view.steps === 'log' && Number.isFinite(first)
    ? symmetric(powerBelow(first)) : linear;
  if (zoom && zoom[0] >= last) zoom = null;
  const [from, to] = zoom ?? steps;
  range = new Bokeh.Range1d({start: scale.to(from), end: scale.to(to)});
  manager?.clear();
  plots.classList.toggle('large', isLarge);
  shown = wanted.map(
    p => makePanel(p, data, view, scale, range, isLarge, width));
  const frames = shown.map(p => frame(p, isLarge));
  plots.replaceChildren(...frames.map(f => f.whole));
  if (!shown.length) plots.append('Nothing is chosen that was measured.');
  const whole = new Bokeh.Document();
  for (const panel of shown) whole.add_root(panel.figure);
  const views = await Bokeh.embed.add_document_standalone(
    whole, plots, frames.map(f => f.place));
  // Something else was chosen meanwhile.
  if (own !== drawing) return views.clear();
  manager = views;
  let waiting = false;
  range.change.connect(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; follow(); });
  });
  shown.forEach((panel, i) => {
    const place = frames[i].place, view_ = views.get(panel.figure);
    place.onpointermove = place.onpointerdown = event => {
      const left = place.getBoundingClientRect().left;
      const x = view_.frame.x_scale.invert(event.clientX - left);
      if (x >= range.start && x <= range.end) mark(snap(x));
    };
    place.ondblclick = () => zoomTo(null);
  });
  mark(at);
  pick('back').disabled = !zoom;
  document.body.dataset.drawn = String(shown.length);
}

function change() {
  fillChoices();
  keep();
  return draw();
}

/** What is shown, as rows. */
function rows() {
  const view = viewOf(), [from, to] = zoom ?? [-Infinity, Infinity];
  const rows = [['run', 'task', 'panel', 'curve', 'what', view.axis, 'value']];
  for (const panel of shown) for (const line of panel.lines) {
    const {curve, run, seeds} = line;
    const head = [run, view.task, panel.label, curve.name];
    const add = (what, step, value) => {
      if (value !== null && step >= from && step <= to)
        rows.push([...head, what, step, value]);
    };
    const sets = view.band ? [['median', curve.mid],
      ['low end of the band', curve.low], ['high end of the band', curve.high]] : [];
    for (const i of seedsOf(line, view))
      sets.push([`seed ${seeds[i]}`, curve.seeds[i]]);
    for (const [what, values] of sets)
      values.forEach((value, j) => add(what, curve.step[j], value));
    for (const [i, step, value] of flaggedOf(line, view))
      add(`seed ${seeds[i]}, not ok`, step, value);
  }
  return rows;
}

function download() {
  const quoted = cell => /[",\n\r]/.test(cell)
    ? `"${String(cell).replaceAll('"', '""')}"` : cell;
  const words = rows().map(row => row.map(quoted).join(',')).join('\r\n');
  const url = URL.createObjectURL(new Blob([words + '\r\n'], {type: 'text/csv'}));
  element('a', {href: url, download: `${viewOf().task}.csv`}).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

pick('runs').append(...runs.map((run, i) => {
  const box = element('input', {type: 'checkbox', name: 'run', value: run});
  box.checked = i === 0;
  return element('label', {}, box, ` ${run}`);
}));
pick('runs').hidden = runs.length === 1;
fillChoices();
restore();
fillChoices();
pick('axis').hidden = !hasTokens;
form.onchange = event => {
  if (event.target === form.axis) {
    zoom = at = null;
    zooms.length = 0;
  }
  return change();
};
form.onsubmit = event => event.preventDefault();
pick('csv').onclick = download;
pick('back').onclick = () => {
  isBack = true;
  zoomTo(zooms.pop() ?? null);
};
plots.onkeydown = event => {
  const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (by) move(by);
  else if (event.key === 'Escape') mark(null);
  else return;
  event.preventDefault();
};
plots.onpointerleave = () => mark(null);
for (const link of document.querySelectorAll('a[href^="#"]'))
  link.onclick = event => {
    event.preventDefault();
    show(link.hash.slice(1));
    keep();
  };
onhashchange = () => { if (location.hash.includes('=')) { restore(); draw(); } };
dark.onchange = draw;
onresize = () => { for (const panel of shown) panel.follow(); };
// Print shows everything once: what is folded is opened, and closed again.
let opened = [];
onbeforeprint = () => {
  opened = [...document.querySelectorAll('details:not([open])')];
  for (const fold of opened) fold.open = true;
};
onafterprint = () => { for (const fold of opened) fold.open = false; };
await draw();
