// Numbers as people read them. Nothing here touches the page.

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// How many decimals a step of a slider has: 0.05 has two.
export const decimals = (step) => (String(step).split('.')[1] || '').length;

// With a sign in front; a real minus, not a hyphen.
export const signed = (value, digits = 3) => (value < 0 ? '\u2212' : '+') + Math.abs(value).toFixed(digits);

// Three decimals, and a dash where there is no number.
export const fixed = (value, digits = 3) =>
  value === null || value === undefined || !Number.isFinite(value) ? '\u2013' : value.toFixed(digits);

export const significant = (value) => (Number.isFinite(value) ? value.toPrecision(3) : '\u2013');

export const thousands = (count) => count.toLocaleString('en');

// Where a value stands between two ends, in percent; outside the bar where there is none.
export const percentBetween = (value, low, high) =>
  value === null ? -10 : 100 * clamp((value - low) / (high - low), 0, 1);

// Least and greatest of the numbers that are finite.
export function finiteRange(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (Number.isFinite(value)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return [low, high];
}

// A curve as the path of an SVG of 100 × 60; zero is always in view.
export function curvePath(values) {
  const low = Math.min(...values, 0);
  const high = Math.max(...values, 1e-9);
  const x = (i) => ((100 * i) / Math.max(1, values.length - 1)).toFixed(1);
  const y = (value) => (58 - (54 * (value - low)) / (high - low || 1)).toFixed(1);
  return values.map((value, i) => `${i ? 'L' : 'M'}${x(i)},${y(value)}`).join('');
}

// An accuracy: 0.7613 is "76.1 %"; a dash where there is none.
export const percent = (value, digits = 1) =>
  value === null || value === undefined || !Number.isFinite(value) ? '\u2013' : `${(100 * value).toFixed(digits)} %`;

// Ends of an axis that holds all values: whole steps of 1, 2 or 5 times a power of ten, and the step between its marks.
export function axisOf(values, most = 4) {
  const [low, high] = finiteRange(values);
  if (low > high) return { low: 0, high: 1, step: 0.5 };
  const span = Math.max(high - low, 1e-3);
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = power * [1, 2, 5, 10].find((factor) => span / (factor * power) <= most);
  return { low: Math.floor(low / step + 1e-9) * step, high: Math.ceil(high / step - 1e-9) * step, step };
}

// The marks of an axis.
export function marksOf({ low, high, step }) {
  const count = Math.round((high - low) / step);
  return Array.from({ length: count + 1 }, (_, i) => low + i * step);
}
