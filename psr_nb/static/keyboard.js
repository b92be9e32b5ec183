// What a key means. Gives names; who hears the key does the work.

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// On the map.
export function mapCommand({ key }) {
  if (WAYS[key]) return { do: 'walk', way: WAYS[key] };
  if (key === '+' || key === '=') return { do: 'zoom', factor: 1.3 };
  if (key === '-') return { do: 'zoom', factor: 1 / 1.3 };
  if (key === '0') return { do: 'home' };
  if (key === 'Enter' || key === ' ') return { do: 'toggle' };
  return null;
}

// In the sheet: the tile that a key goes to. `places` are [left, top] of all tiles, `at` is the present one.
export function tileCommand({ key }, places, at) {
  const last = places.length - 1;
  if (key === 'Home') return 0;
  if (key === 'End') return last;
  if (!WAYS[key]) return -1;
  const [across, down] = WAYS[key];
  if (across) return Math.min(last, Math.max(0, at + across));
  const [left, top] = places[at];
  const beyond = places.map(([, y], i) => [(y - top) * down, i]).filter(([far]) => far > 1);
  if (!beyond.length) return at;
  const nearest = Math.min(...beyond.map(([far]) => far));
  const row = beyond.filter(([far]) => far - nearest <= 1).map(([, i]) => i);
  return row.reduce((best, i) => (Math.abs(places[i][0] - left) < Math.abs(places[best][0] - left) ? i : best));
}

// Anywhere in the panel; `typing` in a box that has its own undo.
export function panelCommand({ key, ctrlKey, metaKey, shiftKey }, typing) {
  const name = key.toLowerCase();
  const control = ctrlKey || metaKey;
  if (name === 'escape') return 'forget';
  if (typing) return null;
  if (control && name === 'z') return shiftKey ? 'redo' : 'undo';
  if (control && name === 'y') return 'redo';
  if (!control && (name === 'b' || name === 'delete')) return 'ban';
  return null;
}
