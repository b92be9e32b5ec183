// The explorer: weights, map, card, meters and sheet of one pool.

import { createAccuracy } from './accuracy.js';
import { createCard } from './card.js';
import { afterPaint, check, coalesced, h, hinted, menu, once, slider } from './dom.js';
import { createFilter } from './filter.js';
import { panelCommand } from './keyboard.js';
import { createMap } from './map.js';
import { createMeters } from './meters.js';
import { onLost, onTheme, tell } from './model.js';
import { bytesOf, floatsOf, wordsOf } from './pixels.js';
import { createSheet } from './sheet.js';
import { createNumbers, createSnapshots } from './snapshots.js';
import { pictureStore } from './tiles.js';
import { createTopline } from './topline.js';

const DRAWN = 'xy states values ids kept colour_by map real_xy'.split(' '); // the map is drawn again
const SAID = 'meters note undoable redoable method gate'.split(' '); // only what stands around it

// What all parts of one view share.
function deskOf(model) {
  const about = model.get('about');
  const n = about.n_per_class;
  const desk = { model, about, n, total: n * about.classes.length, still: model.get('still') };
  Object.assign(desk, { only: -1, showReal: false, current: -1, lassoed: [], showing: 'selection', compare: false });
  desk.filter = createFilter(about);
  desk.act = (name, ids) => tell(model, { do: name, ids });
  desk.nameOf = (id) =>
    id < desk.total
      ? `${about.classes[Math.floor(id / n)]} ${id % n}`
      : `real ${about.classes[desk.realLabels[id - desk.total]]} ${id - desk.total}`;
  desk.read = () => {
    desk.xy = floatsOf(model.get('xy'));
    desk.states = bytesOf(model.get('states'));
    desk.values = floatsOf(model.get('values'));
    desk.realXY = floatsOf(model.get('real_xy'));
    desk.realMissed = bytesOf(model.get('real_missed'));
    desk.realLabels = wordsOf(model.get('real_labels'));
  };
  desk.read();
  return desk;
}

// Presets and selector, weights and budget, gate; and a sentence about the one that is pointed at.
function createControls(desk) {
  const { model, about } = desk;
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const heads = desk.still ? [] : about.controls.map((c) => slider(model, c.name, c));
  const methods = about.methods.map((m) => [m.name, m.name.replaceAll('_', ' ')]);
  const method = menu('Selector', methods, model.get('method'), (v) => set('method', v), 'method');
  const choose = (name) => {
    if (name) tell(model, { do: 'preset', name });
    preset.select.value = '';
  };
  const presets = [['', 'choose …'], ...about.presets.map((p) => [p, p])];
  const preset = menu('Preset', presets, '', choose, 'preset');
  const gateHint = 'Leave out the candidates in which the teacher sees another class';
  const gate = check('Teacher\u2019s gate', 'gate', model.get('gate'), (v) => set('gate', v), gateHint);
  gate.box.disabled = !about.judged;
  const label = { class: 'panel controls', role: 'group', 'aria-label': 'Weights and budget' };
  const node = hinted(h('div', label, preset, method, ...heads, gate));
  // A control is of use where the rule takes weights and, for what a teacher says, where there is one.
  const usable = ({ name, weight }, weighted) => {
    if (!weight) return name !== 'quantile' || about.judged;
    return weighted && (about.judged || ['diversity', 'representativeness'].includes(name));
  };
  const update = () => {
    method.select.value = model.get('method');
    gate.box.checked = model.get('gate');
    const { weighted } = about.methods.find((m) => m.name === model.get('method'));
    heads.forEach((head, i) => {
      head.enable(usable(about.controls[i], weighted));
    });
  };
  return { node, update };
}

// Undo, redo, ban and escape, wherever in the panel the key is pressed; no key goes on to the notebook.
function hearKeys(desk, map, sheet) {
  desk.box.addEventListener('keydown', (event) => {
    event.stopPropagation();
    const command = panelCommand(event, event.target.matches('input[type=number], select'));
    if (command === 'undo' || command === 'redo') {
      event.preventDefault();
      desk.act(command);
    } else if (command === 'forget') map.forgetPath();
    else if (command === 'ban' && !desk.still && desk.current >= 0 && desk.current < desk.total) {
      if (!sheet.sheet.contains(event.target) && event.target !== map.over) return;
      event.preventDefault();
      desk.act('ban', [desk.current]);
    }
  });
}

export function renderExplorer({ model, el }) {
  const desk = deskOf(model);
  const { still } = desk;
  desk.pictures = pictureStore(model, (count) => {
    desk.box.dataset.tiles = count;
  });
  const controls = createControls(desk);
  const map = createMap(desk);
  const card = createCard(desk);
  const snapshots = createSnapshots(desk);
  const strip = createAccuracy(desk);
  const numbers = createNumbers(desk);
  const meters = createMeters(model);
  const sheet = createSheet(desk);
  const topline = createTopline(desk);
  desk.fillSheet = sheet.fill;
  desk.forgetPath = map.forgetPath;
  desk.redraw = map.drawAll;
  desk.savePicture = (use) => map.plot.querySelector('canvas').toBlob(use);
  desk.focusOn = (id) => {
    desk.current = id;
    card.show();
    map.drawOver();
    sheet.mark(id);
  };
  const top = h('div', { class: 'top' }, ...(still ? [] : [controls.node]), map.node, card.node);
  const label = { class: 'psr explorer', role: 'region', 'aria-label': 'Pool explorer' };
  const parts = [topline, { node: top }, strip, numbers, meters, sheet];
  desk.box = h('div', label, ...parts.map((part) => part.node));
  if (still) desk.box.classList.add('still');
  hearKeys(desk, map, sheet);
  el.append(desk.box);

  const fillControls = () => {
    controls.update();
    map.updateTools();
    topline.update();
  };
  const fillStrip = () => {
    strip.fill();
    numbers.fill();
  };
  const judge = coalesced(afterPaint, fillStrip);
  const fillRest = coalesced(afterPaint, () => {
    meters.fill();
    fillControls();
    sheet.fill();
    card.describe();
    if (desk.current >= 0) card.ask();
  }); // the map is painted first, the rest with the next frame
  const update = once(() => {
    const before = desk.xy;
    desk.read();
    if (desk.xy.length !== before.length || desk.xy.some((v, i) => v !== before[i])) map.view = null;
    map.drawAll();
    fillRest();
  });
  for (const name of DRAWN) model.on(`change:${name}`, update);
  for (const name of SAID) model.on(`change:${name}`, fillRest);
  for (const name of strip.watched) model.on(`change:${name}`, judge);
  const resized = new ResizeObserver(() => map.drawAll());
  resized.observe(map.plot);
  const noTheme = onTheme(() => requestAnimationFrame(map.drawAll));
  meters.fill();
  fillControls();
  fillStrip();
  sheet.fill();
  map.drawAll();
  const notLost = onLost(model);
  return () => {
    notLost();
    resized.disconnect();
    noTheme();
    desk.pictures.off();
    card.off();
    snapshots.off();
    for (const name of strip.watched) model.off(`change:${name}`, judge);
    for (const name of DRAWN) model.off(`change:${name}`, update);
    for (const name of SAID) model.off(`change:${name}`, fillRest);
  };
}

export default { render: renderExplorer };
