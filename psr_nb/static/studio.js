// The refinement studio: each image before, now, and what changed; the curves of the losses.

import { createChart } from './chart.js';
import { button, h, hinted, menu, say, slider } from './dom.js';
import { follow, onLost, tell } from './model.js';
import { curvePath, fixed } from './numbers.js';
import { mistakes, panelOf, transport } from './panel.js';
import { bytesOf, difference, paint, picture } from './pixels.js';

const COMMANDS = [
  ['start', '\u25b6 Start', 'Start or resume'],
  ['pause', '\u275a\u275a Pause', 'Pause after this step'],
  ['one', '\u25b8 One step', 'One step, then pause'],
  ['back', '\u25c2 Step back', 'Back by one step'],
  ['stop', '\u25a0 Stop', 'Stop after this step'],
  ['restart', '\u21ba Restart', 'Back to the selected images'],
  ['judge', 'Judge', 'Roll back the images in which the held-out teacher recognises the class less'],
];
const SVG = 'http://www.w3.org/2000/svg';

// One image: three pictures, a line of numbers, and the two decisions about it.
function previewCell(model, label, text, row) {
  const canvases = ['before', 'now', 'difference'].map((k) =>
    h('canvas', { class: 'small', role: 'img', 'aria-label': `${text}, ${k}` }),
  );
  const words = h('small', {}, '\u00a0');
  const decide = (name) => () => tell(model, { do: name, ids: [row] });
  const take = button('\u2713 accept', 'accept', decide('accept'), `Accept ${text} as it is now`);
  const back = button('\u21a9 back', 'roll_back', decide('roll_back'), `Roll ${text} back to the original`);
  const node = h(
    'div',
    { class: 'preview', 'data-row': row, role: 'group', 'aria-label': text },
    h('small', { title: text }, text),
    h('div', { class: 'three' }, ...canvases),
    words,
    h('div', { class: 'acts' }, take, back),
  );
  const show = (probability, drift, verdict) => {
    const known = probability !== undefined;
    say(words, known ? `p ${fixed(probability, 2)}  drift ${drift.toFixed(2)}` : '\u00a0');
    words.title =
      'p: the refining teacher\u2019s probability of the class; drift: root mean square distance of the latent from its start';
    node.classList.toggle('accepted', verdict === 'accepted');
    node.classList.toggle('back', verdict === 'back');
    take.setAttribute('aria-pressed', verdict === 'accepted');
    back.setAttribute('aria-pressed', verdict === 'back');
  };
  return { label, canvases, node, show };
}

function curveNode(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 100 60');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS(SVG, 'path'));
  return h('div', { 'data-curve': name }, h('span', {}, name.replaceAll('_', ' ')), h('b'), svg);
}

function createCurves(model) {
  const node = h('div', { class: 'curves', role: 'group', 'aria-label': 'Curves' });
  const nodes = new Map();
  const fill = () => {
    const lines = model.get('curves');
    for (const [name, line] of Object.entries(lines)) {
      if (!nodes.has(name)) {
        nodes.set(name, curveNode(name));
        node.append(nodes.get(name));
      }
      const values = line.filter((v) => v !== null);
      say(nodes.get(name).querySelector('b'), values.length ? values[values.length - 1].toPrecision(3) : '');
      nodes.get(name).querySelector('path').setAttribute('d', curvePath(values));
    }
    for (const [name, old] of [...nodes]) {
      if (name in lines) continue;
      old.remove();
      nodes.delete(name);
    }
  };
  return { node, fill };
}

// The way back to any step that is kept, and the accuracy of students at chosen steps.
function createSteps(model) {
  const bar = h('input', { type: 'range', min: 0, max: 0, step: 1, 'aria-label': 'Step that is shown' });
  const words = h('span', { class: 'told' });
  const show = (step) => tell(model, { do: 'scrub', ids: [step] });
  bar.addEventListener('input', () => say(words, `step ${bar.value}`));
  bar.addEventListener('change', () => show(+bar.value));
  const train = button(
    'Train students',
    'train',
    () => tell(model, { do: 'train' }),
    'Train students on the images of this step',
  );
  const told = h('span', { role: 'status', class: 'told' });
  const chart = createChart();
  const hint = 'Accuracy over steps, on real training images kept aside. A click on a dot goes back to its step.';
  const node = h(
    'div',
    { class: 'panel below steps', role: 'group', 'aria-label': 'Steps' },
    h('div', { class: 'tools' }, h('span', {}, 'Steps'), bar, words, train, told),
    h('div', { class: 'plotted' }, chart.node, h('p', { class: 'help' }, hint)),
  );
  const update = () => {
    const [first, last] = model.get('span');
    const [done, of] = model.get('progress');
    const { busy, text } = model.get('measuring') || {};
    bar.min = first;
    bar.max = Math.max(last, first);
    if (document.activeElement !== bar) bar.value = done;
    bar.disabled = last <= first;
    say(words, `step ${done}`);
    train.disabled = Boolean(busy) || !model.get('about').real;
    say(told, (text || '').replace(/^!/, ''));
    const measured = model.get('measured') || [];
    node.lastChild.style.display = measured.length ? '' : 'none';
    if (!measured.length) return;
    const control = { name: 'step', label: 'step', min: 0, max: Math.max(of, 1) };
    const dots = measured.map((m) => ({
      key: `step${m.step}`,
      settings: { step: m.step },
      measured: [m.mean, m.low, m.high],
      students: m.students,
    }));
    const now = { x: done, y: null };
    const click = (dot) => show(dot.settings.step);
    const line = measured.map((m) => [m.step, m.mean]);
    const view = { control, dots, now, line, tried: [], random: null, click, nowKey: `step${done}` };
    chart.fill({ ...view, words: `Accuracy over steps: ${measured.length} measured` });
  };
  return { node, update };
}

// Whether the explorer has selected others since, and a way to take them.
function createStale(model) {
  const words = h('span', { role: 'status' });
  const take = button(
    'Take the new selection',
    'take_new',
    () => tell(model, { do: 'take_new' }),
    'Start again with the present selection',
  );
  const node = h('div', { class: 'tools stale' }, words, take);
  const update = () => {
    const text = model.get('stale') || '';
    say(words, text);
    node.style.display = text ? '' : 'none';
  };
  return { node, update };
}

export function renderStudio(context) {
  let end = drawStudio(context);
  tell(context.model, { do: 'seen' });
  const again = () => {
    end();
    context.el.replaceChildren();
    end = drawStudio(context);
  };
  context.model.on('change:about', again);
  return () => {
    context.model.off('change:about', again);
    tell(context.model, { do: 'unseen' });
    end();
  };
}

function drawStudio({ model, el }) {
  const about = model.get('about');
  const top = transport(model, COMMANDS);
  const wrong = mistakes(model);
  const heads = about.controls.map((c) => slider(model, c.name, c));
  const cells = about.images.map(([label, text], row) => previewCell(model, label, text, row));
  const only = (wanted) => {
    for (const c of cells) c.node.hidden = +wanted >= 0 && c.label !== +wanted;
  };
  const which = menu('Class', [[-1, 'all'], ...about.classes.map((c, i) => [i, c])], -1, only, 'class');
  const previewLabel = { class: 'previews', role: 'group', 'aria-label': 'Before, now, difference' };
  const previews = h('div', previewLabel, ...cells.map((c) => c.node));
  const curves = createCurves(model);
  const steps = createSteps(model);
  const stale = createStale(model);
  const label = { class: 'panel controls settings', role: 'group', 'aria-label': 'Settings, also while it runs' };
  const settings = hinted(h('div', label, ...heads));
  const legend = h('small', {}, 'Each image: before, now, and the difference (grey is no change).');
  const work = h('div', { class: 'panel' }, h('div', { class: 'tools' }, which, legend), previews);
  const studio = h('div', { class: 'studio' }, settings, work);
  const box = panelOf(
    about.title ? `Refinement studio ${about.title}` : 'Refinement studio',
    ...(about.title ? [h('h3', { class: 'title' }, about.title)] : []),
    top.node,
    stale.node,
    wrong.node,
    studio,
    steps.node,
    h('div', { class: 'panel below' }, curves.node),
  );

  let drawn = 0;
  const fillPictures = () => {
    const { side, channels, count } = model.get('pictures');
    const size = side * side * channels;
    const sheets = ['before', 'now'].map((k) => bytesOf(model.get(k)));
    if (!count || sheets.some((s) => s.length < size * count)) return;
    for (let i = 0; i < count; i++) {
      const [before, now] = sheets.map((bytes) => picture(bytes, i * size, side, side, channels));
      [before, now, difference(before, now)].forEach((image, k) => {
        paint(cells[i].canvases[k], image);
      });
    }
    drawn += 1;
    box.dataset.drawn = drawn;
  };
  const fillWords = () => {
    const [probability, drift, verdict] = ['probability', 'drift', 'verdict'].map((k) => model.get(k));
    cells.forEach((cell, i) => {
      cell.show(probability.length ? probability[i] : undefined, drift[i], verdict[i]);
    });
    curves.fill();
  };
  el.append(box);
  fillPictures();
  fillWords();
  steps.update();
  stale.update();
  const off = [
    onLost(model, top.lost),
    follow(model, ['span', 'progress', 'measured', 'measuring'], steps.update),
    follow(model, ['stale'], stale.update),
    follow(model, ['now', 'before', 'pictures'], fillPictures),
    follow(model, ['probability', 'drift', 'verdict', 'curves'], fillWords),
    follow(model, ['can', 'status', 'progress', 'error'], () => {
      top.update();
      wrong.update();
    }),
  ];
  return () => {
    for (const end of off) end();
  };
}

export default { render: renderStudio };
