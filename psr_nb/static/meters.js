// Six measures of the selection in one row, each beside two others. A bar is full where its measure is at its best.

import { h, say } from './dom.js';
import { fixed, percentBetween, signed } from './numbers.js';

const meterNode = () =>
  h(
    'div',
    { class: 'panel meter' },
    h('div', { class: 'head' }, h('span'), h('b')),
    h(
      'div',
      { class: 'bar', 'aria-hidden': true },
      h('div', { class: 'fill' }),
      h('div', { class: 'tick first' }),
      h('div', { class: 'tick random' }),
    ),
    h('small', {}, h('span'), h('span')),
  );

const ARROWS = { up: '\u2191', down: '\u2193' };

// Where a value stands on its bar, in percent; outside where there is none.
export const placeOf = (value, { low, high, better }) =>
  better === 'down' && value !== null ? 100 - percentBetween(value, low, high) : percentBetween(value, low, high);

function fillMeter(node, m) {
  const distances = node.querySelector('small').children;
  const place = (value) => placeOf(value, m);
  const others = m.random === null ? '' : ` Random draws: ${fixed(m.random)}; the first candidates: ${fixed(m.first)}.`;
  node.title = m.hint + others;
  say(node.querySelector('.head span'), `${m.name} ${ARROWS[m.better] || ''}`.trim());
  say(node.querySelector('b'), fixed(m.value));
  node.querySelector('.fill').style.width = `${Math.max(0, place(m.value))}%`;
  for (const name of ['first', 'random']) {
    const tick = node.querySelector(`.tick.${name}`);
    tick.style.left = `${place(m[name])}%`;
    tick.style.display = m[name] === null ? 'none' : '';
  }
  ['random', 'first'].forEach((name, i) => {
    const none = m.value === null || m[name] === null;
    say(distances[i], none ? '' : `${name} ${signed(m.value - m[name])}`);
  });
}

export function createMeters(model) {
  const nodes = model.get('meters').map(meterNode);
  const node = h('div', { class: 'meters', role: 'group', 'aria-label': 'Meters' }, ...nodes);
  const fill = () => {
    model.get('meters').forEach((m, i) => {
      fillMeter(nodes[i], m);
    });
  };
  return { node, fill };
}
