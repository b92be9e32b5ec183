// What panels with a worker share: buttons, progress, and the line that says what went wrong.

import { button, h, say } from './dom.js';
import { tell } from './model.js';

// Buttons for commands [name, text, hint], how far the work is, and what it is doing.
export function transport(model, commands) {
  const buttons = commands.map(([name, text, words]) => button(text, name, () => tell(model, { do: name }), words));
  const bar = h('progress', { max: 1, 'aria-label': 'Progress' });
  const words = h('span', { role: 'status', class: 'status' });
  const update = () => {
    const can = model.get('can');
    const [done, of] = model.get('progress');
    for (const b of buttons) b.disabled = !can.includes(b.dataset.do);
    bar.value = of ? done / of : 0;
    say(words, model.get('status'));
  };
  // The kernel has gone: nothing runs any more, whatever was said last.
  const lost = () => {
    for (const b of buttons) b.disabled = true;
    bar.value = 0;
    say(words, 'its kernel has gone');
  };
  update();
  return { node: h('div', {}, h('div', { class: 'tools' }, ...buttons, words), bar), update, lost };
}

export function mistakes(model) {
  const node = h('div', { class: 'note', role: 'alert' });
  const update = () => {
    const error = model.get('error');
    say(node, error);
    node.title = error;
    node.classList.toggle('error', Boolean(error));
  };
  update();
  return { node, update };
}

// No key goes on to the notebook.
export function panelOf(words, ...children) {
  const box = h('div', { class: 'psr', role: 'region', 'aria-label': words }, ...children);
  box.addEventListener('keydown', (event) => event.stopPropagation());
  return box;
}
