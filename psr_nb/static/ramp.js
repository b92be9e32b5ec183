// The colours of a score, from its least to its greatest.

import { ramp } from './colours.js';
import { h } from './dom.js';

export function drawRamp(low, high) {
  const canvas = h('canvas', { class: 'ramp', 'aria-hidden': true });
  canvas.width = 64;
  canvas.height = 1;
  const c = canvas.getContext('2d');
  for (let i = 0; i < 64; i++) {
    c.fillStyle = ramp(i / 63);
    c.fillRect(i, 0, 1, 1);
  }
  return h('span', {}, low, canvas, high);
}
