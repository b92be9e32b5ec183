// Pictures of candidates: asked for once, kept here.

import { once } from './dom.js';
import { listen, tell } from './model.js';
import { bytesOf, paint, picture } from './pixels.js';

const MOST = 20000; // pictures to keep

export function pictureStore(model, counted) {
  const tiles = new Map();
  const asked = new Set();
  const waiting = new Map();
  const fetchSoon = once(() => {
    const ids = [...waiting.keys()].filter((id) => !asked.has(id));
    if (!ids.length) return;
    for (const id of ids) asked.add(id);
    tell(model, { do: 'tiles', ids });
  });
  const arrive = (id, image) => {
    tiles.set(id, image);
    asked.delete(id);
    for (const canvas of waiting.get(id) || []) if (+canvas.dataset.id === id) paint(canvas, image);
    waiting.delete(id);
  };
  const off = listen(model, 'tiles', ({ ids, side, channels }, buffers) => {
    const bytes = bytesOf(buffers[0]);
    if (tiles.size > MOST) tiles.clear();
    ids.forEach((id, i) => {
      arrive(id, picture(bytes, i * side * side * channels, side, side, channels));
    });
    counted(tiles.size);
  });
  // Paints a candidate's picture on a canvas, now or when it arrives.
  const want = (id, canvas) => {
    canvas.dataset.id = id;
    if (tiles.has(id)) {
      paint(canvas, tiles.get(id));
      return;
    }
    if (!waiting.has(id)) waiting.set(id, []);
    waiting.get(id).push(canvas);
    fetchSoon();
  };
  return { want, has: (id) => tiles.has(id), get: (id) => tiles.get(id), off };
}
