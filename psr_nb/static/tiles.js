// Pictures of candidates: asked for once, kept here.

import { once } from './dom.js';
import { listen, tell } from './model.js';
import { addressOf, bytesOf, paint, picture } from './pixels.js';

const MOST = 20000; // pictures to keep

export function pictureStore(model, counted) {
  const tiles = new Map();
  const addresses = new Map();
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
    for (const [node, use] of waiting.get(id) || []) if (+node.dataset.id === id) use(node, image, id);
    waiting.delete(id);
  };
  const off = listen(model, 'tiles', ({ ids, side, channels }, buffers) => {
    const bytes = bytesOf(buffers[0]);
    if (tiles.size > MOST) {
      tiles.clear();
      addresses.clear();
    }
    ids.forEach((id, i) => {
      arrive(id, picture(bytes, i * side * side * channels, side, side, channels));
    });
    counted(tiles.size);
  });
  // Hands a candidate's picture on to a node, now or when it arrives.
  const later = (use) => (id, node) => {
    node.dataset.id = id;
    if (tiles.has(id)) {
      use(node, tiles.get(id), id);
      return;
    }
    if (!waiting.has(id)) waiting.set(id, []);
    waiting.get(id).push([node, use]);
    fetchSoon();
  };
  const want = later(paint); // on a canvas
  const show = later((node, image, id) => {
    if (!addresses.has(id)) addresses.set(id, addressOf(image));
    node.src = addresses.get(id);
  }); // in an <img>
  return { want, show, has: (id) => tiles.has(id), get: (id) => tiles.get(id), off };
}
