// The legend on the page: its entries are buttons that filter; with many classes it can be searched.

import { h } from './dom.js';
import { pick, recolour } from './filter.js';
import { drawRamp } from './ramp.js';
import { stamp } from './stamps.js';

function markOf({ shape, colour, radius }) {
  const mark = stamp(shape, colour, radius);
  const canvas = h('canvas', { 'aria-hidden': true });
  canvas.width = mark.canvas.width;
  canvas.height = mark.canvas.height;
  canvas.getContext('2d').drawImage(mark.canvas, 0, 0);
  return canvas;
}

// `changed` is called when the filter or the colours are others.
export function createLegend(desk, changed) {
  const { filter } = desk;
  const list = h('div', {
    class: 'legend',
    role: 'group',
    'aria-label': 'Legend: a click shows one alone, with Shift several',
  });
  const search = h('input', {
    type: 'search',
    placeholder: 'find a class \u2026',
    'aria-label': 'Find a class in the legend',
  });
  const all = h('button', { type: 'button', class: 'all', title: 'Show all candidates again' }, 'Show all');
  const words = h('small', {}, 'A click gives a class a colour; at most ten classes have one.');
  const extra = h('div', { class: 'legendtools' }, search, all, words);
  const node = h('div', { class: 'legendbox' }, extra, list);
  const pressed = (entry) => {
    if (entry.kind === 'class' && filter.many) return entry.on;
    return (entry.kind === 'class' ? filter.classes : filter.states).has(entry.value);
  };
  const click = (entry, more) => {
    if (entry.kind === 'class' && filter.many && !more) recolour(filter, entry.value);
    else pick(entry.kind === 'class' ? filter.classes : filter.states, entry.value, more);
    changed();
  };
  all.addEventListener('click', () => {
    filter.states.clear();
    filter.classes.clear();
    changed();
  });
  const narrow = () => {
    const wanted = search.value.trim().toLowerCase();
    for (const b of list.querySelectorAll('button'))
      b.hidden = Boolean(wanted) && !b.textContent.toLowerCase().includes(wanted);
  };
  search.addEventListener('input', narrow);
  const entryNode = (entry) => {
    if (entry.ramp) return drawRamp(...entry.ramp);
    if (!entry.kind) return h('span', {}, markOf(entry), entry.text);
    const button = h(
      'button',
      { type: 'button', 'aria-pressed': String(pressed(entry)), 'data-entry': `${entry.kind} ${entry.value}` },
      markOf(entry),
      entry.text,
    );
    button.addEventListener('click', (event) => click(entry, event.shiftKey));
    return button;
  };
  const fill = (entries, by) => {
    const kept = list.contains(document.activeElement) ? document.activeElement.dataset.entry : null;
    const scroll = list.scrollTop;
    const many = by === 'class' && filter.many;
    const filtered = filter.states.size + filter.classes.size > 0;
    node.classList.toggle('many', many);
    search.hidden = !many;
    words.hidden = !many;
    all.hidden = !filtered;
    list.classList.toggle('filtered', filtered);
    list.replaceChildren(...entries.map(entryNode));
    narrow();
    list.scrollTop = scroll;
    if (kept) list.querySelector(`[data-entry="${kept}"]`)?.focus();
  };
  return { node, fill };
}
