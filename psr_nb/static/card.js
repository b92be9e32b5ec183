// The card of one candidate: its picture, its scores, and why it was chosen or not.

import { button, h, say } from './dom.js';
import { listen, tell } from './model.js';
import { bytesOf, paint, picture } from './pixels.js';

export function createCard(desk) {
  const { model, about, total, still } = desk;
  const large = h('canvas', { class: 'large', role: 'img', 'aria-label': 'No candidate yet' });
  const title = h('strong', {}, 'Point at a candidate');
  const state = h('span', { class: 'state' }, '');
  const scores = h('dl');
  const reason = h('p', { 'aria-live': 'polite' });
  const twin = h('canvas', { class: 'small', role: 'img', 'aria-label': 'No candidate yet' });
  const twinText = h('span');
  const near = h('div', { class: 'near', style: 'visibility:hidden' }, twin, twinText);
  const pin = button('Pin', 'pin', () => desk.act('toggle', [desk.current]), 'Must be in (Enter)');
  const ban = button('Ban', 'ban', () => desk.act('ban', [desk.current]), 'Must not be in (B)');
  const acts = still ? [] : [h('div', { class: 'acts' }, pin, ban)];
  const node = h(
    'div',
    { class: 'panel card', role: 'group', 'aria-label': 'Candidate' },
    h('div', {}, large, title, state, ...acts),
    h('div', {}, reason, near),
    h('div', {}, scores),
  );
  pin.disabled = true;
  ban.disabled = true;

  const describe = () => {
    const id = desk.current;
    if (id >= 0 && id < total) {
      const { name } = about.states[desk.states[id]];
      say(state, name);
      say(pin, name === 'pinned' ? 'Unpin' : 'Pin');
      say(ban, name === 'banned' ? 'Unban' : 'Ban');
    } else if (id >= 0) say(state, desk.realMissed[id - total] ? 'missed by the pool' : 'real image');
  };
  let looking = -1; // one question at a time
  const ask = () => {
    if (looking >= 0 || desk.current < 0) return;
    looking = desk.current;
    tell(model, { do: 'look', ids: [looking] });
  };
  const show = () => {
    const id = desk.current;
    say(title, desk.nameOf(id));
    large.setAttribute('aria-label', desk.nameOf(id));
    describe();
    if (desk.pictures.has(id)) paint(large, desk.pictures.get(id));
    const fixedNow = still || id >= total;
    pin.disabled = fixedNow;
    ban.disabled = fixedNow;
    ask();
  };
  const answered = (m, buffers) => {
    if (m.id !== looking) return; // another view of this panel asked
    looking = -1;
    if (m.id !== desk.current) {
      ask();
      return;
    }
    paint(large, picture(bytesOf(buffers[0]), 0, m.width, m.height, m.channels));
    const rows = Object.entries(m.scores).map(([k, v]) => [h('dt', {}, k.replaceAll('_', ' ')), h('dd', {}, v)]);
    scores.replaceChildren(...rows.flat());
    say(reason, m.why);
    near.style.visibility = m.near === null ? 'hidden' : 'visible';
    if (m.near !== null) {
      desk.pictures.want(m.near, twin);
      twin.setAttribute('aria-label', desk.nameOf(m.near));
      say(twinText, m.near_words);
    }
    node.dataset.id = m.id;
  };
  return { node, show, describe, ask, off: listen(model, 'look', answered) };
}
