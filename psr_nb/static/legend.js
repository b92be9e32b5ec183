// What the legend names: plain entries, drawn by the map.

import { greyOf } from './colours.js';
import { MOST_COLOURS } from './filter.js';
import { significant, thousands } from './numbers.js';

export const SIDES = ['#0072b2', '#cc79a7']; // of two settings that are compared

// Entries {shape, colour, radius, text, kind, value} or {ramp: [low, high]}, for points coloured by `by`.
export function legendEntries({
  by,
  low,
  high,
  classes,
  classColours,
  coloured,
  states,
  counts,
  showReal,
  apart,
  ink,
}) {
  const entries = [];
  if (by === 'class') {
    const many = classes.length > MOST_COLOURS;
    const rest = classes.map((_, i) => i).filter((i) => !many || !coloured.includes(i));
    for (const i of many ? [...coloured, ...rest] : rest) {
      const name = classes[i];
      const place = many ? coloured.indexOf(i) : i;
      const colour = place < 0 ? greyOf(i) : classColours[place % classColours.length];
      const text = `${name} (${thousands(counts.ofClass[i])})`;
      entries.push({ shape: 'circle', colour, radius: 5, text, kind: 'class', value: i, on: many && place >= 0 });
    }
  } else {
    if (by !== 'state') entries.push({ ramp: [significant(low), significant(high)] });
    states.forEach(({ name, shape, colour, size, top }, i) => {
      if (!counts.ofState[i] && !top) return;
      entries.push({
        shape,
        colour: by === 'state' ? colour : '#888888',
        radius: 4.5 * Math.min(1.1, size),
        text: `${name} ${thousands(counts.ofState[i])}`,
        kind: 'state',
        value: i,
      });
    });
  }
  if (showReal) {
    entries.push({ shape: 'hollow', colour: ink, radius: 4, text: 'real' });
    entries.push({ shape: 'triangle', colour: ink, radius: 4.5, text: 'real, missed by the pool' });
  }
  if (apart) {
    entries.push({ shape: 'circle', colour: SIDES[0], radius: 5, text: `only in ${apart[0]}` });
    entries.push({ shape: 'ring', colour: SIDES[1], radius: 5, text: `only in ${apart[1]}` });
  }
  return entries;
}
