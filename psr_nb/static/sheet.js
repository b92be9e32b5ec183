// Thumbnails: the selection by class, or what the lasso holds.

import { afterPaint, button, check, h, say } from './dom.js';
import { tileCommand } from './keyboard.js';
import { tell } from './model.js';
import { thousands } from './numbers.js';

const MOST = 400; // thumbnails of a lasso
const IN_SIGHT = 80; // that are made before the others

// Tiles of one class: [id, words, css class, mark]. `before` holds what was chosen when it was kept, or is null.
export function rowTiles(chosen, first, isPinned, before) {
  const tiles = chosen.map((index, place) => {
    const pinned = isPinned(first + index);
    const fresh = before !== null && !before.has(index);
    const words = `place ${place + 1}${pinned ? ', pinned' : ''}${fresh ? ', new' : ''}`;
    return [
      first + index,
      words,
      `${pinned ? 'pinned ' : ''}${fresh ? 'new' : ''}`,
      fresh ? '+' : pinned ? '\u25a0' : '',
    ];
  });
  const now = new Set(chosen);
  for (const index of before || [])
    if (!now.has(index)) tiles.push([first + index, 'no longer chosen', 'gone', '\u2212']);
  return tiles;
}

// How much two settings differ, in words; they may have budgets of their own.
export function apartWords(found, [a, b]) {
  const [left, right] = [0, 1].map((side) => found.reduce((sum, pair) => sum + pair[side].length, 0));
  if (!left && !right) return 'The same images.';
  if (left === right) return `${a} and ${b} differ in ${left} image${left === 1 ? '' : 's'}.`;
  return `Only in ${a}: ${left}. Only in ${b}: ${right}.`;
}

const MARKS = { pinned: '\u25a0', banned: '\u2212', selected: '\u25c6' };

function createTools(desk, refill) {
  const { model, still } = desk;
  const show = (what) => () => {
    desk.showing = what;
    refill();
    desk.redraw();
  };
  const tabs = {
    selection: button('Selection', 'show-selection', show('selection'), 'Show the selection'),
    lasso: button('Lasso (0)', 'show-lasso', show('lasso'), 'Show what the lasso holds'),
    apart: button('Compared', 'show-apart', show('apart'), 'Images that only one of the two ticked settings has'),
  };
  const shown = h('span', { class: 'group', role: 'group', 'aria-label': 'What the sheet shows' });
  shown.append(tabs.selection, tabs.lasso, tabs.apart);
  const keepHint = 'Later changes are shown against the selection as it is now';
  const keep = button('Keep for comparison', 'keep', () => desk.act('keep', []), keepHint);
  const compare = (on) => {
    desk.compare = on;
    refill();
  };
  const changedHint = 'Marks what came (+) and went (\u2212) since the selection was kept';
  const changed = check('What changed', 'changed', false, compare, changedHint);
  const clear = () => {
    desk.lassoed = [];
    desk.forgetPath();
    desk.showing = 'selection';
    tell(model, { do: 'lasso', ids: [] });
    refill();
  };
  const several = [
    button('Pin these', 'pin_all', () => desk.act('pin', desk.lassoed), 'Pin all candidates in the lasso'),
    button('Ban these', 'ban_all', () => desk.act('ban', desk.lassoed), 'Ban all candidates in the lasso'),
    button('Clear', 'clear', clear, 'Forget the lasso'),
  ];
  const update = () => {
    for (const [name, tab] of Object.entries(tabs)) tab.setAttribute('aria-pressed', name === desk.showing);
    say(tabs.lasso, `Lasso (${thousands(desk.lassoed.length)})`);
    tabs.apart.disabled = !desk.comparing();
    for (const b of several) b.disabled = !desk.lassoed.length;
    changed.box.disabled = !model.get('kept').length;
  };
  return { node: h('div', { class: 'tools' }, shown, ...(still ? [] : [keep, changed, ...several])), update };
}

function classRow(name) {
  const meter = h('meter', { min: 0, 'aria-label': 'pinned of the budget' });
  const head = h('div', { class: 'name' }, h('b', {}, name), meter, h('small'));
  return h('div', { class: 'row', role: 'group', 'aria-label': name }, head, h('div', { class: 'tiles' }));
}

export function createSheet(desk) {
  const { model, about, n, still } = desk;
  const node = h('div', {
    class: 'sheet',
    role: 'group',
    'aria-label': 'Thumbnails: arrow keys go to the next, Enter pins, B bans',
  });
  const rows = new Map();

  const tileOf = (id, words, kind, mark) => {
    const image = h('img', { class: 'small', alt: '', draggable: 'false', decoding: 'sync' });
    const label = `${desk.nameOf(id)}, ${words}`;
    const style = `tile ${kind}${id === desk.current ? ' current' : ''}`;
    const tile = h(
      'button',
      { type: 'button', class: style, 'data-id': id, tabindex: -1, 'aria-label': label, title: label },
      image,
    );
    if (mark) tile.append(h('i', { 'aria-hidden': true }, mark));
    desk.pictures.show(id, image);
    return tile;
  };
  const pointed = (event) => {
    const tile = event.target.closest('.tile');
    if (tile && +tile.dataset.id !== desk.current) desk.focusOn(+tile.dataset.id);
  };
  // The sheet is one stop of the Tab key; arrow keys go on from there.
  const stopAt = (tile) => {
    for (const other of node.querySelectorAll('.tile[tabindex="0"]')) other.tabIndex = -1;
    if (tile) tile.tabIndex = 0;
  };
  const walk = (event) => {
    const tile = event.target.closest('.tile');
    if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...node.querySelectorAll('.tile')];
    const places = all.map((t) => t.getBoundingClientRect()).map(({ left, top }) => [left, top]);
    const to = tileCommand(event, places, all.indexOf(tile));
    if (to < 0) return;
    event.preventDefault();
    event.stopPropagation();
    all[to].focus();
  };
  node.addEventListener('click', (event) => {
    const tile = event.target.closest('.tile');
    if (!tile) return;
    desk.focusOn(+tile.dataset.id);
    if (!still) desk.act('toggle', [+tile.dataset.id]);
  });
  node.addEventListener('focusin', (event) => {
    stopAt(event.target.closest('.tile'));
    pointed(event);
  });
  node.addEventListener('keydown', walk);
  node.addEventListener('pointerover', pointed);

  function fillLasso(scrolled) {
    const seen = scrolled ? MOST : IN_SIGHT;
    const all = desk.lassoed;
    const tile = (id) => {
      const { name } = about.states[desk.states[id]];
      return tileOf(id, name, name === 'pinned' ? 'pinned' : '', MARKS[name]);
    };
    const held = h('div', { class: 'tiles' }, ...all.slice(0, seen).map(tile));
    if (all.length > seen)
      afterPaint(() => {
        if (held.isConnected) held.append(...all.slice(seen, MOST).map(tile)); // those in sight first
      });
    rows.clear();
    const words = [];
    if (all.length > MOST) words.push(h('p', {}, `The first ${MOST} of ${thousands(all.length)}.`));
    if (!all.length) words.push(h('p', {}, 'Draw around candidates on the map.'));
    node.replaceChildren(held, ...words);
  }

  // Two rows of images for each class in which two settings differ.
  function fillApart() {
    rows.clear();
    const found = desk.comparing();
    if (!found) {
      node.replaceChildren(h('p', {}, 'Tick two settings in the table above.'));
      return;
    }
    const names = desk.pair.map(desk.pairName);
    const parts = [];
    const shown = found.map((pair, c) => (desk.only < 0 || desk.only === c ? pair : [[], []]));
    shown.forEach((pair, c) => {
      if (!pair[0].length && !pair[1].length) return;
      const lines = pair.map((ids, side) => {
        const tiles = ids.map((i) => tileOf(c * n + i, `only in ${names[side]}`, `side${side}`, side ? 'B' : 'A'));
        const label = { class: 'only', role: 'group', 'aria-label': `${about.classes[c]}, only in ${names[side]}` };
        return h('div', label, h('small', {}, `only in ${names[side]}`), h('div', { class: 'tiles' }, ...tiles));
      });
      const head = h(
        'div',
        { class: 'name' },
        h('b', {}, about.classes[c]),
        h('small', {}, `${Math.max(pair[0].length, pair[1].length)} differ`),
      );
      parts.push(
        h('div', { class: 'row', role: 'group', 'aria-label': about.classes[c] }, head, h('div', {}, ...lines)),
      );
    });
    node.replaceChildren(h('p', { class: 'help' }, apartWords(shown, names)), ...parts);
  }

  // Tiles of a row that stay as they are stay in the page.
  function exchange(tiles, list) {
    const have = new Map([...tiles.children].map((tile) => [tile.dataset.as, tile]));
    list.forEach((wanted, place) => {
      const as = JSON.stringify(wanted);
      let tile = have.get(as);
      if (tile === undefined) {
        tile = tileOf(...wanted);
        tile.dataset.as = as;
      }
      have.delete(as);
      if (tiles.children[place] !== tile) tiles.insertBefore(tile, tiles.children[place] ?? null);
    });
    for (const tile of have.values()) tile.remove();
  }

  function fillSelection() {
    const ids = model.get('ids');
    const kept = model.get('kept');
    const wanted = about.classes.map((_, c) => c).filter((c) => desk.only < 0 || c === desk.only);
    if (rows.size !== wanted.length || wanted.some((c) => !rows.has(c))) {
      rows.clear();
      for (const c of wanted) rows.set(c, classRow(about.classes[c]));
      node.replaceChildren(...rows.values());
    }
    const isPinned = (id) => desk.states[id] === about.pinned;
    for (const c of wanted) {
      const row = rows.get(c);
      const before = desk.compare && kept.length ? new Set(kept[c]) : null;
      const list = rowTiles(ids[c], c * n, isPinned, before);
      const key = JSON.stringify(list);
      if (row.dataset.key !== key) {
        row.dataset.key = key;
        exchange(row.lastChild, list);
      }
      const count = ids[c].filter((index) => isPinned(c * n + index)).length;
      const meter = row.querySelector('meter');
      meter.max = Math.max(1, ids[c].length);
      meter.value = count;
      say(row.querySelector('small'), `${count}/${ids[c].length} pinned`);
    }
  }

  function fill() {
    tools.update();
    const active = document.activeElement;
    const focus = node.contains(active) ? [...node.querySelectorAll('.tile')].indexOf(active) : -1;
    const scroll = node.scrollTop;
    if (desk.showing === 'apart') fillApart();
    else if (desk.showing === 'lasso') fillLasso(scroll > 0);
    else fillSelection();
    node.scrollTop = scroll;
    if (!node.querySelector('.tile[tabindex="0"]')) stopAt(node.querySelector('.tile'));
    if (focus < 0 || node.contains(document.activeElement)) return;
    const all = node.querySelectorAll('.tile');
    if (all.length) all[Math.min(focus, all.length - 1)].focus({ preventScroll: true });
  }

  const tools = createTools(desk, fill);
  const mark = (id) => {
    for (const b of node.querySelectorAll('button.tile.current')) b.classList.remove('current');
    for (const b of node.querySelectorAll(`button.tile[data-id="${id}"]`)) b.classList.add('current');
  };
  return { node: h('div', { class: 'panel' }, tools.node, node), sheet: node, fill, mark };
}
