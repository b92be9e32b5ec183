// Settings under a name: kept, brought back, compared two by two, exported.

import { button, h, say } from './dom.js';
import { listen, tell } from './model.js';
import { bytesOf } from './pixels.js';

const EXPORTS = [
  ['', 'Export \u2026'],
  ['json', 'as JSON'],
  ['code', 'as code'],
  ['selection', 'as a saved selection'],
  ['studio', 'into the studio'],
];

const SAVES = [
  ['', 'Save \u2026'],
  ['map', 'the map as PNG'],
  ['svg', 'the map as SVG'],
  ['png', 'the sheet as PNG'],
  ['csv', 'the chosen as CSV'],
  ['html', 'a page'],
];

// What is in one choice and not in another, class by class: [only in a, only in b].
export const apart = (a, b) =>
  a.map((ids, c) => {
    const [mine, yours] = [new Set(ids), new Set(b[c])];
    return [ids.filter((i) => !yours.has(i)), b[c].filter((i) => !mine.has(i))];
  });

// Offers a text or bytes as a file.
function save(file, content) {
  const link = h('a', { href: URL.createObjectURL(new Blob([content])), download: file });
  link.click();
  URL.revokeObjectURL(link.href);
}

// The cells of the strip's table that say what a row is: a box to compare it, its name, what can be done with it.
export function createSnapshots(desk) {
  const { model } = desk;
  desk.pair = []; // at most two rows to compare
  const idsOf = (which) =>
    which === 'selection' ? model.get('ids') : (model.get('snapshots') || []).find((s) => s.name === which)?.ids;
  const boxes = new Map();
  desk.pairName = (which) => (which === 'selection' ? 'now' : which);
  desk.comparing = () => {
    const chosen = desk.pair.map(idsOf);
    return chosen.length === 2 && chosen.every(Boolean) ? apart(...chosen) : null;
  };
  const choose = (which, on) => {
    desk.pair = desk.pair.filter((name) => name !== which && idsOf(name)); // one may have another name by now
    if (on) desk.pair = [...desk.pair, which].slice(-2);
    for (const [name, box] of boxes) box.checked = desk.pair.includes(name);
    desk.showing = desk.pair.length === 2 ? 'apart' : 'selection';
    desk.fillSheet();
    desk.redraw();
  };
  const send = (name, to, menu) => {
    if (to) tell(model, { do: 'export', name, as: to });
    menu.value = '';
  };
  desk.rowParts = (row) => {
    const first = h('td');
    const comparable = row.which === 'selection' || row.snapshot;
    if (comparable) {
      const label = `Compare ${row.name}`;
      const box = h('input', { type: 'checkbox', 'aria-label': label, title: 'Tick two to compare them' });
      box.checked = desk.pair.includes(row.which);
      box.addEventListener('change', () => choose(row.which, box.checked));
      boxes.set(row.which, box);
      first.append(box);
    }
    const name = h('th', { scope: 'row' });
    if (!row.snapshot) {
      say(name, row.name);
      return { first, name, acts: [], fill: () => {} };
    }
    const rename = h('input', {
      type: 'text',
      value: row.name,
      maxlength: 40,
      'aria-label': `Name of snapshot ${row.name}`,
    });
    rename.addEventListener('change', () => {
      const to = rename.value.trim();
      if (to && to !== row.which) tell(model, { do: 'rename', name: row.which, to });
      else rename.value = row.name;
    });
    name.append(rename);
    const back = button('Back', 'restore', () => tell(model, { do: 'restore', name: row.which }), row.setting);
    back.setAttribute('aria-label', `Bring back ${row.name}: ${row.setting}`);
    const choices = EXPORTS.map(([value, words]) => h('option', { value }, words));
    const menu = h('select', { 'aria-label': `Export ${row.name}` }, ...choices);
    menu.addEventListener('change', () => send(row.which, menu.value, menu));
    const forget = () => {
      desk.pair = desk.pair.filter((other) => other !== row.which);
      boxes.delete(row.which);
      if (desk.showing === 'apart') desk.showing = 'selection';
      desk.fillSheet();
      desk.redraw();
      tell(model, { do: 'forget', name: row.which });
    };
    const drop = button('\u00d7', 'forget', forget, `Forget ${row.name}`);
    return { first, name, acts: [back, menu, drop], fill: () => {} };
  };
  const kinds = SAVES.map(([value, words]) => h('option', { value }, words));
  const saving = h('select', { 'data-control': 'save', 'aria-label': 'Save what is shown' }, ...kinds);
  saving.addEventListener('change', () => {
    if (saving.value === 'map') desk.savePicture((blob) => save('map.png', blob));
    else if (saving.value) tell(model, { do: 'save', as: saving.value });
    saving.value = '';
  });
  desk.saving = [saving];
  const offSaved = listen(model, 'saved', ({ file }, buffers) => save(file, bytesOf(buffers[0])));
  const off = listen(model, 'export', ({ file, text, as: form }) => {
    if (form === 'code') navigator.clipboard?.writeText(text).catch(() => save(file, text));
    else save(file, text);
  });
  return {
    off: () => {
      off();
      offSaved();
    },
  };
}

// All snapshots in numbers, a table that opens.
export function createNumbers(desk) {
  const { model } = desk;
  const table = h('table');
  const scroll = h('div', { class: 'listed', tabindex: 0, role: 'group', 'aria-label': 'Snapshots in numbers' }, table);
  const node = h('details', { class: 'numbers' }, h('summary', {}, 'Snapshots in numbers'), scroll);
  const fill = () => {
    const { head = [], body = [] } = model.get('numbers') || {};
    node.style.display = body.length ? '' : 'none';
    const key = JSON.stringify([head, body]);
    if (node.dataset.key === key) return;
    node.dataset.key = key;
    table.replaceChildren(
      h('thead', {}, h('tr', {}, ...head.map((words) => (words ? h('th', { scope: 'col' }, words) : h('td'))))),
      h(
        'tbody',
        {},
        ...body.map(([name, ...rest]) =>
          h('tr', {}, h('th', { scope: 'row' }, name), ...rest.map((v) => h('td', {}, v))),
        ),
      ),
    );
  };
  return { node, fill };
}
