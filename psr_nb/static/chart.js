// Accuracy against a setting: dots that were measured, a line that is predicted, and where the sliders are now.

import { ramp } from './colours.js';
import { svg } from './dom.js';
import { axisOf, finiteRange, marksOf, percent } from './numbers.js';

const WIDTH = 380;
const HEIGHT = 196;
const LEFT = 46;
const RIGHT = 12;
const TOP = 16;
const BOTTOM = 30;

// Places on the drawing, from values on two axes.
export function scales(x, y) {
  const across = Math.max(x.high - x.low, 1e-9);
  const up = Math.max(y.high - y.low, 1e-9);
  return {
    x: (value) => LEFT + ((WIDTH - LEFT - RIGHT) * (value - x.low)) / across,
    y: (value) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * (value - y.low)) / up,
  };
}

// A line through points, with gaps where there is no number.
export function linePath(points) {
  let pen = 'M';
  let out = '';
  for (const [x, y] of points) {
    if (y === null || !Number.isFinite(y)) {
      pen = 'M';
      continue;
    }
    out += `${pen}${x.toFixed(1)},${y.toFixed(1)}`;
    pen = 'L';
  }
  return out;
}

// What a dot says to a reader who does not see it.
export const dotWords = (dot, control) =>
  `${control.label} ${dot.settings[control.name]}: ${percent(dot.measured[0])}, ${dot.students} students` +
  (dot.measured[1] === null ? '' : `, from ${percent(dot.measured[1])} to ${percent(dot.measured[2])}`);

const text = (x, y, words, more = {}) => svg('text', { x, y, ...more }, words);

function drawAxes(x, y, place, control, yWords, ruled = true) {
  const lines = marksOf(y).map((value) => {
    const at = place.y(value);
    return svg(
      'g',
      {},
      ...(ruled ? [svg('line', { class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at })] : []),
      text(LEFT - 5, at + 3.5, yWords(value), { 'text-anchor': 'end' }),
    );
  });
  const marks = marksOf(x).map((value) =>
    text(place.x(value), HEIGHT - BOTTOM + 13, String(+value.toFixed(3)), { 'text-anchor': 'middle' }),
  );
  const title = text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, control.label, {
    'text-anchor': 'middle',
    class: 'title',
  });
  return [...lines, ...marks, title];
}

function dotNode(dot, at, low, high, words, isNow, click) {
  const press = (event) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    click(dot);
  };
  const label = `${words}. Enter brings these weights back.`;
  const node = svg(
    'g',
    { class: `dot${isNow ? ' now' : ''}`, role: 'button', tabindex: 0, 'aria-label': label, 'data-key': dot.key },
    svg('title', {}, label),
    svg('circle', { class: 'touch', cx: at[0], cy: at[1], r: 12 }),
  );
  if (low !== null) node.append(svg('line', { x1: at[0], x2: at[0], y1: low, y2: high }));
  node.append(svg('circle', { cx: at[0], cy: at[1], r: 4.5 }));
  node.addEventListener('click', () => click(dot));
  node.addEventListener('keydown', press);
  node.setAttribute('data-lm-suppress-shortcuts', 'true');
  return node;
}

// The setting of now, a diamond.
const nowNode = (x, y) =>
  svg(
    'path',
    { class: 'here', d: `M${x},${y - 7}L${x + 7},${y}L${x},${y + 7}L${x - 7},${y}Z` },
    svg('title', {}, 'now'),
  );

// One weight: `view` has control, dots, now {x, y}, line [[x, y]], tried [[x, mean, low, high]], random, click, nowKey.
function drawLine(node, view) {
  const { control, dots, now, line, tried, random } = view;
  const ys = [now.y, random, ...line.map((p) => p[1]), ...tried.flatMap((p) => p.slice(1))];
  for (const dot of dots) ys.push(...dot.measured);
  const wanted = ys.filter((v) => v !== null && v !== undefined && Number.isFinite(v));
  if (!wanted.length) {
    const words = 'No accuracy yet: train students, or sweep.';
    node.replaceChildren(text(WIDTH / 2, HEIGHT / 2, words, { 'text-anchor': 'middle', class: 'title' }));
    return;
  }
  const y = axisOf(wanted);
  const x = { low: control.min, high: control.max, step: (control.max - control.min) / 4 };
  const place = scales(x, y);
  const parts = drawAxes(x, y, place, control, (value) => percent(value, y.step < 0.01 ? 1 : 0));
  if (Number.isFinite(random))
    parts.push(
      svg(
        'line',
        { class: 'random', x1: LEFT, x2: WIDTH - RIGHT, y1: place.y(random), y2: place.y(random) },
        svg('title', {}, `random draws: ${percent(random)}`),
      ),
    );
  if (line.length > 1)
    parts.push(
      svg('path', { class: 'guess', d: linePath(line.map(([a, b]) => [place.x(a), b === null ? b : place.y(b)])) }),
    );
  for (const [a, mean, low, high] of tried) {
    const at = place.x(a);
    if (low !== null) parts.push(svg('line', { class: 'tried', x1: at, x2: at, y1: place.y(low), y2: place.y(high) }));
    parts.push(svg('circle', { class: 'tried', cx: at, cy: place.y(mean), r: 3 }));
  }
  for (const dot of dots) {
    const [mean, low, high] = dot.measured;
    const at = [place.x(dot.settings[control.name]), place.y(mean)];
    const ends = low === null ? [null, null] : [place.y(low), place.y(high)];
    parts.push(dotNode(dot, at, ...ends, dotWords(dot, control), dot.key === view.nowKey, view.click));
  }
  if (Number.isFinite(now.y)) parts.push(nowNode(place.x(now.x), place.y(now.y)));
  node.replaceChildren(...parts);
}

// Two weights: a small heat map of what is predicted, with the measured dots and the setting of now.
function drawHeat(node, view) {
  const { control, second, grid, dots, now } = view;
  const [xs, ys] = grid.values;
  const [low, high] = finiteRange(grid.predicted.flat().filter((v) => v !== null));
  const x = { low: control.min, high: control.max, step: (control.max - control.min) / 4 };
  const y = { low: second.min, high: second.max, step: (second.max - second.min) / 4 };
  const place = scales(x, y);
  const wide = Math.abs(place.x(xs[1]) - place.x(xs[0]));
  const tall = Math.abs(place.y(ys[1]) - place.y(ys[0]));
  const parts = [];
  xs.forEach((a, i) => {
    ys.forEach((b, j) => {
      const value = grid.predicted[i][j];
      if (value === null || value === undefined) return;
      const left = Math.max(LEFT, place.x(a) - wide / 2);
      const right = Math.min(WIDTH - RIGHT, place.x(a) + wide / 2);
      const top = Math.max(TOP, place.y(b) - tall / 2);
      const under = Math.min(HEIGHT - BOTTOM, place.y(b) + tall / 2);
      const words = `${control.label} ${a}, ${second.label} ${b}: ${percent(value)}`;
      const box = { x: left, y: top, width: right - left, height: under - top };
      const fill = ramp((value - low) / Math.max(high - low, 1e-9));
      parts.push(svg('rect', { ...box, fill }, svg('title', {}, words)));
    });
  });
  parts.push(...drawAxes(x, y, place, control, (value) => String(+value.toFixed(2)), false));
  parts.push(text(LEFT, TOP - 6, `${second.label}; ${percent(low)} dark, ${percent(high)} bright`, { class: 'title' }));
  for (const dot of dots) {
    const at = [place.x(dot.settings[control.name]), place.y(dot.settings[second.name])];
    parts.push(dotNode(dot, at, null, null, dotWords(dot, control), dot.key === view.nowKey, view.click));
  }
  parts.push(nowNode(place.x(now.x), place.y(now.second)));
  node.replaceChildren(...parts);
}

export function createChart() {
  const node = svg('svg', { class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'group' });
  const fill = (view) => {
    const focused = node.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    node.setAttribute('aria-label', view.words);
    if (view.grid) drawHeat(node, view);
    else drawLine(node, view);
    if (focused) node.querySelector(`[data-key="${focused}"]`)?.focus();
  };
  return { node, fill };
}
