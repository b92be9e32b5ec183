// Which candidates the legend lets through, and which classes have a colour of their own.

export const MOST_COLOURS = 10; // classes that can be told apart by colour

// What the legend remembers: states and classes that are picked (none: all), and the classes that have a colour.
export function createFilter(about) {
  const many = about.classes.length > MOST_COLOURS;
  const all = about.classes.map((_, i) => i);
  return { states: new Set(), classes: new Set(), many, coloured: many ? all.slice(0, MOST_COLOURS) : all };
}

// A click picks one alone, or lets all through again; with shift it adds or takes away.
export function pick(set, value, more) {
  if (more) {
    if (!set.delete(value)) set.add(value);
  } else if (set.size === 1 && set.has(value)) set.clear();
  else {
    set.clear();
    set.add(value);
  }
}

// Gives a class a colour or takes it away; of too many, the one that has had it longest loses it.
export function recolour(filter, label) {
  const without = filter.coloured.filter((c) => c !== label);
  filter.coloured = without.length < filter.coloured.length ? without : [...without, label].slice(-MOST_COLOURS);
}

// Position of a class's colour; -1: it is grey.
export const colourOf = (filter, label) => (filter.many ? filter.coloured.indexOf(label) : label);

// A test for candidates, or null where all pass.
export function passing({ states, classes }, codes, n) {
  if (!states.size && !classes.size) return null;
  return (i) =>
    (!states.size || states.has(codes[i])) && (!classes.size || i >= codes.length || classes.has(Math.floor(i / n)));
}

// How many candidates there are in each state and in each class, of those that the other filter lets through.
export function countsOf({ states, classes }, codes, n, about, [begin, end]) {
  const ofState = new Array(about.states.length).fill(0);
  const ofClass = new Array(about.classes.length).fill(0);
  for (let i = begin; i < end; i++) {
    const label = Math.floor(i / n);
    if (!classes.size || classes.has(label)) ofState[codes[i]]++;
    if (!states.size || states.has(codes[i])) ofClass[label]++;
  }
  return { ofState, ofClass };
}
