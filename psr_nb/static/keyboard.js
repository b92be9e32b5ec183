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
