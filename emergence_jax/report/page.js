// The page: what is chosen, in its form and in its address, and what is shown.

const pick = id => document.getElementById(id);
const form = pick('view'), plots = pick('plots');
if (!('DecompressionStream' in window))
  plots.textContent = 'This browser is too old for the panels (it has no '
    + 'DecompressionStream); the same figures are in figures/anatomy_….';

/** The data of the panels, from their text. */
function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(
    new DecompressionStream('gzip'))).json();
}

let inSteps = await unpacked(pick('data').textContent);
const runs = Object.keys(inSteps);
const FIRST_SHOWN = 10;  // of many runs
const axes = Object.keys(AXES).filter(
  axis => axis === 'step' || runs.every(run => inSteps[run].axes[axis]));
let byAxis = {step: inSteps};
const off = new Set();  // lines that the legend has switched off
let data = inSteps;
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
    curves: chosen.get('curves'), group: chosen.get('group') ?? '',
    find: chosen.get('find') ?? '', only: chosen.get('only') ?? '',
    smooth: Number(chosen.get('smooth')), off,
  };
};

/** Writes what is chosen into the address, where it survives a reload. */
function keep() {
  const words = new URLSearchParams(
    [...new FormData(form)].filter(([, value]) => value !== ''));
  for (const name of off) words.append('off', name);
  if (!words.has('band')) words.set('band', 'off');
  ['from', 'to'].forEach((name, i) => {
    if (zoom) words.set(name, Number(zoom[i].toPrecision(5)));
  });
  if (section) words.set('section', section);
  // A page within another's `srcdoc` has no address of its own.
  try { history.replaceState(null, '', `#${words}`); } catch { /* none */ }
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
  const panels = some.flatMap(
    r => Object.entries(data[r].tasks[form.task.value]?.panels ?? {}));
  fill(form.panel, ['all', ...new Set(panels.map(([label]) => label))]);
  fill(form.curves, ['all', ...new Set(panels.flatMap(
    ([, panel]) => panel.curves.length > 1 ? panel.curves.map(c => c.name) : []))]);
}

/** Takes what is chosen from the address. */
function restore() {
  const words = new URLSearchParams(location.hash.slice(1));
  if (!location.hash.includes('=')) return;
  const wanted = words.getAll('run').filter(r => runs.includes(r));
  for (const box of form.querySelectorAll('[name=run]'))
    box.checked = wanted.length ? wanted.includes(box.value) : box.checked;
  form.band.checked = words.get('band') !== 'off';
  for (const name of ['find', 'only']) form[name].value = words.get(name) ?? '';
  form.smooth.value = words.get('smooth') ?? 0;
  off.clear();
  for (const name of words.getAll('off')) off.add(name);
  for (const name of ['axis', 'task', 'seeds', 'steps', 'values', 'panel',
    'curves', 'group']) {
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
    const swatch = element('i', {}), isOff = off.has(line.name);
    Object.assign(swatch.style, {background: line.colour, opacity: line.opacity});
    const name = element('button', {type: 'button', 'aria-pressed': !isOff,
      title: isOff ? 'Show this line' : 'Hide this line'}, swatch, line.name);
    name.onclick = () => {
      if (!off.delete(line.name)) off.add(line.name);
      change();
    };
    return element('li', {}, name, panel.values[i]);
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
  const axis = axes.includes(view.axis) ? view.axis : 'step';
  data = byAxis[axis] ??= onAxis(inSteps, axis);
  followRuns(inSteps, view);
  const drawable = panelsOf(data, view);
  const every = drawable.filter(p => !isZero(p));
  const isLarge = view.panel !== 'all' && every.some(p => p.label === view.panel);
  const wanted = isLarge ? every.filter(p => p.label === view.panel)
    : every.filter(p => isAsked(p.label, view.only));
  const all = every.flatMap(p => p.lines.flatMap(l => l.curve.step));
  const [first] = extent(all.filter(s => s > 0));
  const last = Math.max(extent(all)[1], 1);
  steps = [Math.min(extent(all)[0], last), last];
  const log = Number.isFinite(first) ? symmetric(powerBelow(first)) : linear;
  scale = {log, linear}[view.steps] ?? clearest(
    every[0]?.lines.map(l => l.curve) ?? [], [log, linear], steps);
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
  pick('zero').textContent = drawable.length === every.length ? '' : 'Left out, '
    + `being nothing but 0: ${drawable.filter(isZero).map(p => p.label).join(', ')}.`;
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
      const {left, top} = place.getBoundingClientRect();
      const x = view_.frame.x_scale.invert(event.clientX - left);
      const y = view_.frame.y_scale.invert(event.clientY - top);
      if (x < range.start || x > range.end) return;
      mark(snap(x));
      pointAt(shown[i], at, y);
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
  for (const panel of shown) for (const line of onOf(panel, view)) {
    const {curve, run, called} = line;
    const head = [run, view.task, panel.label, curve.name];
    const add = (what, step, value) => {
      if (value !== null && step >= from && step <= to)
        rows.push([...head, what, step, value]);
    };
    const sets = view.band ? [['median', curve.mid],
      ['low end of the band', curve.low], ['high end of the band', curve.high]] : [];
    for (const i of seedsOf(line, view))
      sets.push([called[i], curve.seeds[i]]);
    for (const [what, values] of sets)
      values.forEach((value, j) => add(what, curve.step[j], value));
    for (const [i, step, value] of flaggedOf(line, view))
      add(`${called[i]}, not ok`, step, value);
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

fillRuns(inSteps, change);
form.axis.replaceChildren(...axes.map(axis => new Option(AXES[axis], axis)));
fillChoices();
restore();
fillChoices();
pick('axis').hidden = axes.length === 1;
form.onchange = event => {
  if (event.target === form.axis) {
    zoom = at = null;
    zooms.length = 0;
  }
  return change();
};
form.find.oninput = () => followRuns(inSteps, viewOf());
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
plots.onpointerleave = event => {
  // A finger leaves as soon as it is lifted, and what it read stays.
  if (event.pointerType === 'touch') return;
  mark(null);
  for (const panel of shown) panel.highlight(null);
};
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

/** Asks for newer data, of a run that goes on, and draws them. */
async function ask(address) {
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) {
    pick('state').textContent = 'Nobody answers any more: emergence watch has '
      + 'ended. What is shown is the last that came.';
    return;
  }
  const {state, data: text} = await answer.json();
  pick('state').textContent = state;
  if (text !== pick('data').textContent) {
    pick('data').textContent = text;
    inSteps = await unpacked(text);
    byAxis = {step: inSteps};
    fillChoices();
    await draw();
  }
  setTimeout(() => ask(address), 3000);
}
const {watched} = document.body.dataset;
if (watched) setTimeout(() => ask(watched), 3000);
