// The table of runs: which are shown, which keys tell them apart, how they are
// coloured and put together.

const NAMED = document.getElementById('data').dataset.colours.split(' ');
const onDark = colour => dark.matches && colour === '#000000' ? '#ffffff' : colour;

/** The colour of the i-th of many: eight that all can tell apart, then hues. */
const colourOf = i => i < NAMED.length
  ? onDark(NAMED[i])
  : `hsl(${Math.round(i * 137.5) % 360} 65% ${dark.matches ? 62 : 42}%)`;

/** Values of a key over all runs, numbers in their order. */
function valuesOf(data, key) {
  const values = [...new Set(Object.values(data).map(r => r.keys[key] ?? '–'))];
  return values.every(v => v === '–' || Number.isFinite(Number(v)))
    ? values.sort((a, b) => Number(a) - Number(b)) : values;
}

/** Run → the place of its colour: its own, or that of its value of a key. */
function placesOf(data, key) {
  const names = Object.keys(data);
  if (!key) return Object.fromEntries(names.map((name, i) => [name, i]));
  const values = valuesOf(data, key);
  return Object.fromEntries(
    names.map(name => [name, values.indexOf(data[name].keys[key] ?? '–')]));
}

/** What a run is called in a legend. */
const calledBy = (data, run, key) =>
  key ? `${key} ${data[run].keys[key] ?? '–'}` : run;

/** Whether a run has every word that was asked for, in its name or keys. */
function isWanted(name, run, asked) {
  const said = [name, ...Object.entries(run.keys).map(([k, v]) => `${k}=${v}`)];
  return asked.toLowerCase().split(/\s+/).every(
    word => said.some(s => s.toLowerCase().includes(word)));
}

/** Whether a panel has one of the words, apart by commas, in its name. */
const isAsked = (label, asked) => asked.split(',').some(
  word => label.toLowerCase().includes(word.trim().toLowerCase()));

/** Value at a share of sorted values, straight between two of them. */
function quantile(sorted, share) {
  const at = share * (sorted.length - 1), low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

/** Median and middle 95% of the seeds of a curve, in the place of its own. */
function summarised(curve) {
  const at = curve.step.map((_, j) => curve.seeds
    .map(s => s[j]).filter(v => v !== null).sort((a, b) => a - b));
  const of = share => at.map(v => v.length ? quantile(v, share) : null);
  return {...curve, mid: of(0.5), low: of(0.025), high: of(0.975)};
}

/** Lines of one group and curve at the same steps become one of all seeds. */
function pooled(lines) {
  const groups = new Map();
  for (const line of lines) {
    const key = JSON.stringify([line.name, line.curve.step]);
    groups.set(key, [...groups.get(key) ?? [], line]);
  }
  return [...groups.values()].map(same => {
    if (same.length === 1) return same[0];
    let before = 0;
    const flagged = [];
    for (const {curve} of same) {
      for (const [i, step, value] of curve.flagged)
        flagged.push([i + before, step, value]);
      before += curve.seeds.length;
    }
    const seeds = same.flatMap(l => l.curve.seeds);
    return {
      ...same[0], run: same.map(l => l.run).join(', '),
      seeds: same.flatMap(l => l.seeds), called: same.flatMap(l => l.called),
      curve: summarised({...same[0].curve, seeds, flagged}),
    };
  });
}

/** Exponentially weighted mean of the values so far, without a bias at first. */
function smoothed(values, weight) {
  let sum = 0, of = 0;
  return values.map(v => {
    if (v === null) return null;
    sum = weight * sum + (1 - weight) * v;
    of = weight * of + (1 - weight);
    return sum / of;
  });
}

/** A curve whose values are smoothed. */
const smoothCurve = (curve, weight) => !weight ? curve : {
  ...curve, ...Object.fromEntries(
    ['mid', 'low', 'high'].map(k => [k, smoothed(curve[k], weight)])),
  seeds: curve.seeds.map(values => smoothed(values, weight)),
};

/** Fills the table, a row for each run, and a column for each key. */
function fillRuns(data, change) {
  const names = Object.keys(data);
  const keys = [...new Set(names.flatMap(n => Object.keys(data[n].keys)))];
  const head = ['run', ...keys, 'seeds'].map(
    text => element('th', {scope: 'col'}, text));
  const body = names.map((name, i) => {
    const box = element('input', {type: 'checkbox', name: 'run', value: name});
    box.checked = i < FIRST_SHOWN;
    const cells = [...keys.map(k => data[name].keys[k] ?? '–'),
      String(data[name].seeds.length)];
    return element('tr', {'data-run': name},
      element('td', {}, element('label', {}, box, element('i', {}), name)),
      ...cells.map(text => element('td', {}, text)));
  });
  pick('run-table').append(
    element('thead', {}, element('tr', {}, ...head)),
    element('tbody', {}, ...body));
  for (const key of keys) form.group.append(new Option(key, key));
  const shownRows = () => [...document.querySelectorAll('#run-table tbody tr')]
    .filter(row => !row.hidden);
  for (const [id, checked] of [['every-run', true], ['no-run', false]])
    pick(id).onclick = () => {
      for (const row of shownRows())
        row.querySelector('input').checked = checked;
      change();
    };
  pick('runs').hidden = names.length === 1;
}

/** Hides the rows that were not asked for, and colours all. */
function followRuns(data, view) {
  const places = placesOf(data, view.group);
  for (const row of document.querySelectorAll('#run-table tbody tr')) {
    const name = row.dataset.run;
    row.hidden = !isWanted(name, data[name], view.find);
    row.querySelector('i').style.background = colourOf(places[name]);
  }
}
