// The explorer without a kernel: a model that answers from what is in the page.

import { renderExplorer } from './explorer.js';
import { fixed } from './numbers.js';

const bytesFrom = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

class Still {
  constructor(state, cards, tiles) {
    this.state = state;
    this.cards = cards;
    this.tiles = tiles;
    this.heard = {};
    for (const [name, text] of Object.entries(state.binary)) this.state[name] = new DataView(bytesFrom(text).buffer);
    for (const [name, text] of Object.entries(state.columns))
      state.columns[name] = new Float32Array(bytesFrom(text).buffer);
    const image = document.getElementById('sprites');
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    this.sprites = canvas.getContext('2d', { willReadFrequently: true });
    this.sprites.drawImage(image, 0, 0);
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    this.state[name] = value;
    if (name !== 'colour_by') return;
    const column = this.state.columns[value];
    this.state.values = column ? new DataView(column.buffer) : undefined;
    this.tell('change:colour_by');
  }

  save_changes() {}

  on(name, heard) {
    this.heard[name] = this.heard[name] || [];
    this.heard[name].push(heard);
  }

  off() {}

  tell(name, ...values) {
    for (const heard of this.heard[name] || []) heard(...values);
  }

  pixels(id) {
    const { tile, columns } = this.tiles;
    return this.sprites.getImageData(tile * (id % columns), tile * Math.floor(id / columns), tile, tile).data;
  }

  // Red, green and blue of several pictures, one after the other.
  bytes(ids) {
    const area = this.tiles.tile ** 2;
    const out = new Uint8Array(ids.length * area * 3);
    ids.forEach((id, i) => {
      const from = this.pixels(id);
      for (let k = 0; k < area; k++) for (let c = 0; c < 3; c++) out[3 * (i * area + k) + c] = from[4 * k + c];
    });
    return out;
  }

  answer(kind, ids) {
    const side = this.tiles.tile;
    if (kind === 'tiles') return { kind, ids, side, channels: 3 };
    if (kind !== 'look') return null;
    const [id] = ids;
    const scores = Object.fromEntries(Object.entries(this.state.columns).map(([k, v]) => [k, fixed(v[id])]));
    const card = this.cards[id] || { why: '', near: null, near_words: '' };
    return { kind, id, width: side, height: side, channels: 3, scores, ...card };
  }

  send({ do: kind, ids }) {
    const answer = this.answer(kind, ids);
    if (answer) queueMicrotask(() => this.tell('msg:custom', answer, [new DataView(this.bytes(ids).buffer)]));
  }
}

document
  .getElementById('sprites')
  .decode()
  .then(() => {
    const { state, cards, tiles } = JSON.parse(document.getElementById('data').textContent);
    renderExplorer({ model: new Still(state, cards, tiles), el: document.getElementById('explorer') });
  });
