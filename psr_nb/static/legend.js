// What the legend names: plain entries, drawn by the map.

import { significant, thousands } from './numbers.js';

// How many candidates are in each state.
export function stateCounts(states, of) {
  const counts = new Array(of).fill(0);
  for (let i = 0; i < states.length; i++) counts[states[i]]++;
  return counts;
}

// Entries {shape, colour, radius, text} or {ramp: [low, high]}, for points coloured by `by`.
export function legendEntries({ by, low, high, classes, classColours, states, counts, showReal, ink }) {
  const entries = [];
  if (by === 'class') {
    classes.forEach((text, i) => {
      entries.push({ shape: 'circle', colour: classColours[i % classColours.length], radius: 5, text });
    });
  } else {
    if (by !== 'state') entries.push({ ramp: [significant(low), significant(high)] });
    states.forEach(({ name, shape, colour, size, top }, i) => {
      if (!counts[i] && !top) return;
      const radius = 4.5 * Math.min(1.1, size);
      entries.push({
        shape,
        colour: by === 'state' ? colour : '#888888',
        radius,
        text: `${name} ${thousands(counts[i])}`,
      });
    });
  }
  if (showReal) {
    entries.push({ shape: 'ring', colour: ink, radius: 4, text: 'real' });
    entries.push({ shape: 'triangle', colour: ink, radius: 4.5, text: 'real, missed by the pool' });
  }
  return entries;
}
