// Sampling in view: what the candidates in the making will become.

import { h, say } from './dom.js';
import { follow } from './model.js';
import { mistakes, panelOf, transport } from './panel.js';
import { bytesOf, paint, picture } from './pixels.js';

const COMMANDS = [
  ['start', '\u25b6 Start', 'Start, or go on where it stopped'],
  ['pause', '\u275a\u275a Pause', 'Pause after this denoising step'],
  ['one', '\u25b8 One step', 'One denoising step, then pause'],
  ['stop', '\u25a0 Stop', 'Stop; finished shards are kept'],
];

export function renderSampler({ model, el }) {
  const top = transport(model, COMMANDS);
  const wrong = mistakes(model);
  const label = 'Previews of the candidates that are being sampled';
  const grid = h('div', { class: 'previews plain', role: 'img', 'aria-label': label });
  const words = h('small', { class: 'making' });
  const box = panelOf('Pool sampling', top.node, wrong.node, h('div', { class: 'panel sampling' }, words, grid));
  let drawn = 0;
  const fill = () => {
    const { side, channels, count, text } = model.get('pictures');
    const bytes = bytesOf(model.get('now'));
    const size = side * side * channels;
    say(words, text || '');
    if (!count || bytes.length < size * count) return;
    while (grid.children.length < count) grid.append(h('canvas', { class: 'small', 'aria-hidden': true }));
    while (grid.children.length > count) grid.lastChild.remove();
    for (let i = 0; i < count; i++) paint(grid.children[i], picture(bytes, i * size, side, side, channels));
    drawn += 1;
    box.dataset.drawn = drawn;
  };
  el.append(box);
  fill();
  const off = [
    follow(model, ['now', 'pictures'], fill),
    follow(model, ['can', 'status', 'progress', 'error'], () => {
      top.update();
      wrong.update();
    }),
  ];
  return () => {
    for (const end of off) end();
  };
}

export default { render: renderSampler };
