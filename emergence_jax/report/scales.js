// Scales of an axis, and round ticks on them.
//
// Every panel has linear axes of places; a scale says which place a value has.
// Steps begin with 0, so that their scale is linear up to the first checkpoint
// and logarithmic behind it, which no axis of the library is.

const linear = {to: v => v, from: p => p, isLog: false};
const logarithmic = {
  to: v => v > 0 ? Math.log10(v) : NaN, from: p => 10 ** p, isLog: true,
};
/** Linear between -near and near, a power of ten; logarithmic beyond. */
const symmetric = near => ({
  to: v => Math.abs(v) <= near
    ? v / near : Math.sign(v) * (1 + Math.log10(Math.abs(v) / near)),
  from: p => Math.abs(p) <= 1
    ? p * near : Math.sign(p) * near * 10 ** (Math.abs(p) - 1),
  isLog: true, near,
});

/** Least and largest of many values; they are too many for arguments. */
const extent = values => values.reduce(
  ([low, high], v) => [Math.min(low, v), Math.max(high, v)],
  [Infinity, -Infinity]);

/** The scale of values that a measure asks for, or that is chosen. */
function scaleOf(name, values) {
  const isPositive = values.every(v => v > 0);
  if (name === 'linear' || !values.length) return linear;
  if (isPositive) return logarithmic;
  const largest = Math.max(extent(values.map(Math.abs))[1], 1e-9);
  return symmetric(powerBelow(largest * 1e-3));
}

/** The power of ten that is not above a value. */
const powerBelow = value => 10 ** Math.floor(Math.log10(value) + 1e-9);

/** Multiples of 1, 2 or 5 times a power of ten, at most `most` of them. */
function evenTicks(low, high, most) {
  if (!(high > low)) return [low];
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(m => m * power >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++)
    ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/** Powers of ten between two places, and twice and five times them. */
function powerTicks(scale, low, high, least) {
  // The exponent at place nought, from which those that are kept are counted.
  const zero = scale.near ? Math.round(Math.log10(scale.near)) - 1 : 0;
  const apart = Math.max(Math.ceil(least - 1e-9), 1);
  const multiples = least <= 0.3 ? [1, 2, 5] : [1];
  const top = zero + Math.ceil(Math.max(Math.abs(low), Math.abs(high)));
  const bottom = scale.near ? zero + 1 : zero + Math.floor(low);
  const ticks = scale.near ? [0] : [];
  for (let k = bottom; k <= top; k++)
    if ((k - zero) % apart === 0)
      for (const m of multiples) {
        const v = Number((m * 10 ** k).toPrecision(3));
        ticks.push(v, -v);
      }
  return ticks.filter(v => scale.to(v) >= low && scale.to(v) <= high);
}

/** Round values on a scale between two places, at most `most` of them. */
function ticksOf(scale, low, high, most) {
  const [a, b] = [scale.from(low), scale.from(high)];
  const isNarrow = a * b > 0 && Math.max(a / b, b / a) < 8;
  const isInside = scale.near && Math.max(Math.abs(low), Math.abs(high)) <= 1;
  if (!scale.isLog || isNarrow || isInside) return evenTicks(a, b, most);
  return powerTicks(scale, low, high, (high - low) / most);
}

/** A number as a tick, a legend or a sentence says it. */
function words(v, digits = 4) {
  if (v === null || v === undefined || !Number.isFinite(v)) return '–';
  if (v !== 0 && (Math.abs(v) >= 1e7 || Math.abs(v) < 1e-3))
    return Number(v.toPrecision(digits)).toExponential().replace('e+', 'e');
  return v.toLocaleString('en', {maximumSignificantDigits: digits});
}

/** A step on another axis, straight between those of which it is known. */
function placeAt([steps, values], step) {
  if (step === null) return null;
  const behind = steps.findIndex(s => s >= step);
  const i = Math.min(Math.max(behind < 0 ? steps.length - 1 : behind, 1),
    steps.length - 1);
  const share = (step - steps[i - 1]) / (steps[i] - steps[i - 1]);
  return values[i - 1] + share * (values[i] - values[i - 1]);
}

/** The data with the places of another axis for steps. */
const onAxis = (data, axis) => Object.fromEntries(
  Object.entries(data).map(([name, run]) => {
    const at = step => placeAt(run.axes[axis], step);
    const curve = c => ({...c, step: c.step.map(at),
      flagged: c.flagged.map(([i, step, value]) => [i, at(step), value])});
    const panel = p => ({...p, curves: p.curves.map(curve)});
    const mapped = (group, f) => Object.fromEntries(
      Object.entries(group).map(([key, value]) => [key, f(value)]));
    const task = t => ({...t, panels: mapped(t.panels, panel),
      emergence: t.emergence.map(at), rank: t.rank.map(at)});
    return [name, {...run, tasks: mapped(run.tasks, task)}];
  }));

/** The share of an axis over which a curve makes 10 to 90% of its change. */
function shareOfChange(curve, scale, [from, to]) {
  const known = curve.step.map((_, j) => j).filter(j => curve.mid[j] !== null);
  const [low, high] = extent(known.map(j => curve.mid[j]));
  if (!(high > low)) return 0;
  const rising = curve.mid[known.at(-1)] >= curve.mid[known[0]];
  const reached = share => known.find(j => rising
    ? curve.mid[j] >= low + share * (high - low)
    : curve.mid[j] <= high - share * (high - low));
  const [a, b] = [0.1, 0.9].map(s => scale.to(curve.step[reached(s)]));
  return Math.max(b - a, 0) / (scale.to(to) - scale.to(from));
}

/** Of two scales the one on which the changes of curves are wider. */
function clearest(curves, scales, ends) {
  const sums = scales.map(scale => curves.reduce(
    (sum, curve) => sum + shareOfChange(curve, scale, ends), 0));
  return scales[sums[1] > sums[0] ? 1 : 0];
}
