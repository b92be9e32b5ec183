// The strip below the map: is the selection better? Predicted and measured accuracy, row by row, and a chart of it.

import { createChart } from './chart.js';
import { button, check, h, menu, say } from './dom.js';
import { tell } from './model.js';
import { axisOf, percent, percentBetween } from './numbers.js';

const WATCHED = 'accuracy dots training sweep_found snapshots numbers'.split(' ');

// "76.0 ± 0.9 %"
export function measuredWords({ measured }) {
  if (!measured) return '\u2013';
  const [mean, low, high] = measured;
  const around = low === null ? '' : ` \u00b1 ${(50 * (high - low)).toFixed(1)}`;
  return `${(100 * mean).toFixed(1)}${around} %`;
}

// Ends of the scale that all rows share.
export const scaleOf = (rows) => {
  const values = rows.flatMap((r) => [...(r.predicted || []), ...(r.measured || [])]).filter(Number.isFinite);
  return values.length ? axisOf(values) : { low: 0, high: 1, step: 0.5 };
};

// A bar with what is predicted (a band and a stroke) and what was measured (a line and a dot).
function createTrack() {
  const parts = ['band', 'stroke', 'line', 'dot'].map((name) => h('i', { class: name }));
  const node = h('div', { class: 'track', 'aria-hidden': true }, ...parts);
  const fill = ({ predicted, measured }, { low, high }) => {
    const at = (value) => percentBetween(value, low, high);
    const [band, stroke, line, dot] = parts;
    for (const part of parts) part.style.display = 'none';
    const show = (part, from, to) => {
      part.style.display = '';
      part.style.left = `${at(from)}%`;
      if (to !== undefined) part.style.width = `${Math.max(0, at(to) - at(from))}%`;
    };
    if (predicted) {
      show(band, predicted[1], predicted[2]);
      show(stroke, predicted[0]);
    }
    if (measured) {
      if (measured[1] !== null) show(line, measured[1], measured[2]);
      show(dot, measured[0]);
    }
  };
  return { node, fill };
}

// One row of the table; `parts` are the cells that the row's kind adds.
function createRow(row, desk, ask) {
  const track = createTrack();
  const guess = h('td', { class: 'number' });
  const found = h('td', { class: 'number' });
  const cells = desk.rowParts(row);
  const hint = `Train students on ${row.name} and test them on real training images kept aside`;
  const train = button('Train', 'train-row', () => ask(row.which), hint);
  const acts = h('td', { class: 'acts' }, ...(desk.still ? [] : [train, ...cells.acts]));
  const bar = h('td', { class: 'bar' }, track.node);
  const node = h('tr', { 'data-which': row.which }, cells.first, cells.name, guess, bar, found, acts);
  const fill = (now, scale, busy, can) => {
    say(guess, now.predicted ? percent(now.predicted[0]) : '\u2013');
    guess.title = now.predicted ? `one student: ${percent(now.predicted[1])} to ${percent(now.predicted[2])}` : '';
    say(found, measuredWords(now));
    found.title = now.students
      ? `${now.students} students; 95 % interval of their mean`
      : 'no student was trained on it';
    train.disabled = busy || !can;
    say(train, now.students ? 'More' : 'Train');
    track.fill(now, scale);
    cells.fill(now);
  };
  return { node, fill };
}

// What trains, how many, how far it is.
function createTraining(desk) {
  const { model } = desk;
  const count = h('input', { type: 'number', min: 1, max: 200, step: 1, value: 8, 'aria-label': 'Students to train' });
  count.addEventListener('change', () => {
    const wanted = Math.round(+count.value);
    if (wanted >= 1 && wanted <= 200) count.dataset.kept = wanted;
    count.value = count.dataset.kept || 8;
  });
  const ask = (which) => tell(model, { do: 'train', which, students: +count.value });
  const hint = 'Train students on the present selection; the panel stays live';
  const go = button('Train students on this', 'train', () => ask('selection'), hint);
  const better =
    'Try some thousand exchanges of single candidates. What is expected to teach students more is pinned; Undo leads back.';
  const swap = button('Exchange candidates', 'exchange', () => tell(model, { do: 'exchange' }), better);
  const stop = button(
    '\u25a0 Stop',
    'stop',
    () => desk.act('stop'),
    'Stop; students that are trained are kept, and so is the best set that was found',
  );
  const bar = h('progress', { max: 1, 'aria-label': 'How far it is' });
  const words = h('span', { role: 'status', class: 'status' });
  const update = () => {
    const { busy, done, text } = model.get('training') || {};
    const { can, can_exchange: canExchange } = model.get('accuracy') || {};
    swap.hidden = !canExchange;
    swap.disabled = Boolean(busy);
    go.disabled = Boolean(busy) || !can;
    go.title = can ? hint : model.get('accuracy')?.measured_on;
    stop.disabled = !busy;
    bar.value = done || 0;
    bar.hidden = !busy;
    say(words, (text || '').replace(/^!/, ''));
    words.classList.toggle('error', (text || '').startsWith('!'));
  };
  const node = h('div', { class: 'tools training' }, go, count, swap, stop, bar, words);
  return { node, update, ask };
}

// The chart and what it shows: one setting or two, and a sweep over them.
function createPlot(desk) {
  const { model, about } = desk;
  const chart = createChart();
  const controls = about.controls;
  const byName = Object.fromEntries(controls.map((c) => [c.name, c]));
  const picked = { x: byName.uncertainty && about.judged ? 'uncertainty' : controls[0].name, y: '' };
  const options = controls.map((c) => [c.name, c.label]);
  const pick = (axis) => (v) => {
    picked[axis] = v;
    update();
  };
  const across = menu('Accuracy against', options, picked.x, pick('x'), 'chart-x');
  const up = menu('and', [['', '\u2013'], ...options], '', pick('y'), 'chart-y');
  const measure = check(
    'measured',
    'sweep-measured',
    false,
    () => {},
    'Also train students at some of the values; takes longer',
  );
  const sweep = () => {
    const names = [picked.x, ...(picked.y && picked.y !== picked.x ? [picked.y] : [])];
    tell(model, { do: 'sweep', names, measured: measure.box.checked });
  };
  const hint = 'Try all values of this setting, in the background, with everything else as it is now';
  const go = button('Sweep', 'sweep', sweep, hint);
  const words = h('span', { role: 'status', class: 'status' });
  const node = h(
    'div',
    { class: 'plotted' },
    h('div', { class: 'tools' }, across, up, ...(desk.still ? [] : [go, measure]), words),
    chart.node,
  );
  const click = (dot) => tell(model, { do: 'bring_back', key: dot.key });
  function update() {
    const { rows = [], now_key: nowKey } = model.get('accuracy') || {};
    const found = model.get('sweep_found') || {};
    const control = byName[picked.x];
    const second = picked.y && picked.y !== picked.x ? byName[picked.y] : null;
    const ipc = model.get('ipc');
    const value = (row) => (row?.predicted ? row.predicted[0] : row?.measured ? row.measured[0] : null);
    const own = rows.find((r) => r.which === 'selection');
    const same = (names) => found.names?.length === names.length && names.every((n, i) => n === found.names[i]);
    const grid = second && same([picked.x, picked.y]) && found.predicted?.length ? found : null;
    const line = !second && same([picked.x]) ? found.values[0].map((v, i) => [v, found.predicted[i] ?? null]) : [];
    const tried = !second && same([picked.x]) ? found.measured || [] : [];
    const dots = (model.get('dots') || []).filter(
      (d) => d.kind === 'selection' && (picked.x === 'ipc' || d.settings.ipc === ipc),
    );
    const now = { x: model.get(picked.x), y: value(own), second: second ? model.get(picked.y) : 0 };
    const random = value(rows.find((r) => r.which === 'random'));
    const summary = `Accuracy against ${control.label}: ${dots.length} measured settings`;
    chart.fill({ control, second, grid, line, tried, dots, now, random, click, nowKey, words: summary });
    say(words, (found.text || '').replace(/^!/, ''));
    go.disabled = Boolean(found.busy);
    measure.box.disabled = !model.get('accuracy')?.can;
  }
  return { node, update };
}

// With a full stop, which errors lack.
const ended = (words) => (/[.!?\u2026]$/.test(words) ? words : `${words}.`);

export function createAccuracy(desk) {
  const { model } = desk;
  const training = createTraining(desk);
  const plot = createPlot(desk);
  const rows = new Map();
  const body = h('tbody');
  const head = ['', '', 'Predicted', '', 'Measured', ''].map((words, i) =>
    i === 2 || i === 4 ? h('th', { scope: 'col', class: 'number' }, words) : h('td', {}, words),
  );
  const table = h(
    'table',
    {},
    h('caption', { class: 'hidden' }, 'Accuracy'),
    h('thead', {}, h('tr', {}, ...head)),
    body,
  );
  const help = h('p', { class: 'help' });
  const listed = h(
    'div',
    { class: 'listed', tabindex: 0, role: 'group', 'aria-label': 'Accuracy by selection' },
    table,
  );
  const left = h('div', { class: 'rows' }, listed, help);
  const node = h(
    'div',
    { class: 'panel strip', role: 'group', 'aria-label': 'Accuracy' },
    ...(desk.still ? [] : [training.node]),
    h('div', { class: 'halves' }, left, plot.node),
  );
  const fill = () => {
    const { rows: wanted = [], can, measured_on: measuredOn, predicted_by: predictedBy } = model.get('accuracy') || {};
    const { busy } = model.get('training') || {};
    const names = wanted.map((r) => r.which);
    if (names.join('\n') !== [...rows.keys()].join('\n')) {
      for (const name of [...rows.keys()]) if (!names.includes(name)) rows.delete(name);
      const made = wanted.map((r) => [r.which, rows.get(r.which) || createRow(r, desk, training.ask)]);
      rows.clear();
      for (const [which, row] of made) rows.set(which, row);
      body.replaceChildren(...made.map(([, row]) => row.node));
    }
    const scale = scaleOf(wanted);
    for (const row of wanted) rows.get(row.which).fill(row, scale, busy, can);
    say(help, [measuredOn, predictedBy].filter(Boolean).map(ended).join(' '));
    training.update();
    plot.update();
  };
  return { node, fill, watched: WATCHED };
}
