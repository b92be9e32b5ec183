// Elements of the panels, and the controls made of them.

import { clamp, decimals } from './numbers.js';

export const h = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  // Notebook 7 looks for its shortcuts before the panel hears a key
  if (['button', 'input', 'select'].includes(tag) || 'tabindex' in attributes)
    node.setAttribute('data-lm-suppress-shortcuts', 'true');
  node.append(...children);
  return node;
};

const SVG = 'http://www.w3.org/2000/svg';

// The same for drawings.
export const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};

let counted = 0;
const unique = () => {
  counted += 1;
  return `psr-${counted}-${Math.random().toString(36).slice(2, 7)}`;
};

// Changes a text only where it differs, so that a screen reader is not disturbed.
export const say = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

export const afterPaint = (work) => requestAnimationFrame(() => setTimeout(work));

// Makes a function that runs `work` a single time however often it is called before `schedule` comes round.
export const coalesced = (schedule, work) => {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    schedule(() => {
      waiting = false;
      work();
    });
  };
};

// Runs `work` once after all changes of one message have arrived.
export const once = (work) => coalesced(queueMicrotask, work);

// A number that can be dragged, stepped with the arrow keys, typed, and reset by a double click.
export function slider(model, name, { label, min, max, step, initial, hint }) {
  const id = unique();
  const digits = decimals(step);
  const show = (value) => {
    if (document.activeElement !== range || +range.value !== value) range.value = value;
    if (document.activeElement !== number || +number.value !== value) number.value = value.toFixed(digits);
  };
  const send = (wanted) => {
    const value = Number.isFinite(wanted) ? clamp(wanted, min, +range.max) : model.get(name);
    if (value !== model.get(name)) {
      model.set(name, value);
      model.save_changes();
    }
    show(value);
  };
  // What was emptied, or is no number, is as it was.
  const typed = () => {
    send(number.value.trim() === '' ? Number.NaN : +number.value);
    number.value = model.get(name).toFixed(digits);
  };
  const reset = () => send(initial);
  const range = h('input', {
    type: 'range',
    id,
    min,
    max,
    step,
    'data-control': name,
    'aria-describedby': `${id}h`,
    oninput: () => send(+range.value),
    ondblclick: reset,
  });
  const number = h('input', {
    type: 'number',
    min,
    max,
    step,
    'aria-label': `${label}, typed`,
    title: label,
    onchange: typed,
    ondblclick: reset,
  });
  const update = () => show(model.get(name));
  model.on(`change:${name}`, update);
  update();
  const node = h(
    'div',
    { class: 'slider', title: `${hint} Double click: ${initial.toFixed(digits)}.` },
    h('label', { for: id, ondblclick: reset }, label),
    number,
    range,
    h('span', { id: `${id}h`, class: 'hidden' }, hint),
  );
  node.enable = (on) => {
    range.disabled = !on;
    number.disabled = !on;
  };
  return node;
}

export function menu(label, options, value, change, name) {
  const choices = options.map(([v, text]) => h('option', { value: v }, text));
  const select = h('select', { 'data-control': name, onchange: () => change(select.value) }, ...choices);
  select.value = value;
  const node = h('label', { class: 'menu' }, h('span', {}, label), select);
  node.select = select;
  return node;
}

// Below a group of settings, the sentence of the one that is pointed at or has the focus.
export function hinted(node) {
  const first = 'Point at a setting: this line says what it does.';
  const words = h('p', { class: 'hint', 'aria-hidden': true }, first);
  const tell = (event) => {
    const own = event.target.closest('.slider, .check, .menu');
    say(words, (own && (own.querySelector('.hidden')?.textContent || own.title)) || first);
  };
  node.addEventListener('focusin', tell);
  node.addEventListener('pointerover', tell);
  node.append(words);
  return node;
}

export const button = (text, name, click, about) =>
  h('button', { type: 'button', 'data-do': name, title: about, 'aria-label': about, onclick: click }, text);

export const check = (text, name, checked, change, about) => {
  const box = h('input', { type: 'checkbox', 'data-control': name, onchange: () => change(box.checked) });
  box.checked = checked;
  const node = h('label', { class: 'check', title: about }, box, text);
  node.box = box;
  return node;
};
