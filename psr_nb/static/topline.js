// The top line: keep, go back, begin anew, save; and beside it what the panel has to say.

import { button, h, say } from './dom.js';

const HELP =
  'Click or Enter pins, B bans, Ctrl+Z undoes. Ctrl with the wheel zooms the map, Shift with dragging draws a lasso.';

// What was said last, and whether it is a mistake (it begins with an exclamation mark).
function createNote(desk) {
  const node = h('div', { class: 'note', role: 'status' });
  const update = () => {
    const text = desk.model.get('note');
    say(node, text.replace(/^!/, '') || (desk.still ? '' : HELP));
    node.title = node.textContent;
    node.classList.toggle('error', text.startsWith('!'));
  };
  return { node, update };
}

export function createTopline(desk) {
  const { model } = desk;
  const note = createNote(desk);
  if (desk.still) return { node: note.node, update: note.update };
  const act = (name) => () => desk.act(name);
  const snapshot = button('Snapshot', 'snapshot', act('snapshot'), 'Snapshot: keep this setting under a name');
  const undo = button('\u21b6 Undo', 'undo', act('undo'), 'Undo (Ctrl+Z)');
  const redo = button('Redo \u21b7', 'redo', act('redo'), 'Redo (Ctrl+Shift+Z)');
  const words = 'Reset: selector, weights, gate and budget as at first; pins and bans stay';
  const reset = button('Reset', 'reset', act('reset'), words);
  const node = h('div', { class: 'tools topline' }, snapshot, undo, redo, reset, ...desk.saving, note.node);
  const update = () => {
    undo.disabled = !model.get('undoable');
    redo.disabled = !model.get('redoable');
    note.update();
  };
  return { node, update };
}
