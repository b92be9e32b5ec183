import assert from 'node:assert/strict';
import { test } from 'node:test';
import { greyOf, mixed, packed, ramp, toRGB } from '../../psr_nb/static/colours.js';
import { colourOf, countsOf, createFilter, passing, pick, recolour } from '../../psr_nb/static/filter.js';
import { legendEntries } from '../../psr_nb/static/legend.js';

const states = [
  { name: 'undecided', shape: 'circle', colour: '#8f959d', size: 0.8, top: false },
  { name: 'rejected by the cut', shape: 'bar', colour: '#e69f00', size: 1.1, top: false },
  { name: 'pinned', shape: 'square', colour: '#009e73', size: 1.6, top: true },
];
const about = { classes: ['Coat', 'Bag'], classColours: ['#0072b2'], states, ink: 'black' };
const counts = { ofState: [1200, 0, 0], ofClass: [700, 500] };
const of = (more) => legendEntries({ ...about, by: 'state', low: 0, high: 1, counts, ...more });

test('counts follow the filter', () => {
  const codes = Uint8Array.from([0, 2, 0, 2, 2, 0]); // two classes of three
  const filter = createFilter({ classes: ['Coat', 'Bag'] });
  const count = (range = [0, 6]) => countsOf(filter, codes, 3, { states, classes: ['Coat', 'Bag'] }, range);
  assert.deepEqual(count(), { ofState: [3, 0, 3], ofClass: [3, 3] });
  pick(filter.classes, 1, false);
  assert.deepEqual(count().ofState, [1, 0, 2]);
  pick(filter.states, 2, false);
  assert.deepEqual(count().ofClass, [1, 2]);
  assert.deepEqual([0, 1, 2, 3, 4, 5].filter(passing(filter, codes, 3)), [3, 4]);
});

test('a click shows one alone, a second one all again; with shift there are several', () => {
  const set = new Set();
  pick(set, 3, false);
  pick(set, 5, true);
  assert.deepEqual([...set], [3, 5]);
  pick(set, 5, false);
  assert.deepEqual([...set], [5]);
  pick(set, 5, false);
  assert.equal(set.size, 0);
  assert.equal(passing({ states: set, classes: set }, [], 1), null);
});

test('of many classes ten have a colour', () => {
  const filter = createFilter({ classes: Array.from({ length: 100 }, (_, i) => `c${i}`) });
  recolour(filter, 99);
  assert.equal(filter.coloured.length, 10);
  assert.equal(colourOf(filter, 0), -1);
  assert.equal(colourOf(filter, 99), 9);
  recolour(filter, 99);
  assert.equal(colourOf(filter, 99), -1);
});

test('the others are grey, each in a shade of its own', () => {
  const shades = Array.from({ length: 32 }, (_, i) => greyOf(i));
  assert.equal(new Set(shades).size, 32);
  assert.ok(shades.every((shade) => /^#[0-9a-f]{6}$/.test(shade)));
  assert.equal(greyOf(33), shades[1]);
});

test('a state that nobody is in has no entry, unless it is one to decide', () => {
  assert.deepEqual(
    of({}).map((e) => e.text),
    ['undecided 1,200', 'pinned 0'],
  );
});

test('a score has a ramp with its ends, and grey marks', () => {
  const [first, second] = of({ by: 'reliability', low: 0.1, high: 0.98765 });
  assert.deepEqual(first.ramp, ['0.100', '0.988']);
  assert.equal(second.colour, '#888888');
  assert.deepEqual(of({ by: 'reliability', low: Infinity, high: -Infinity })[0].ramp, ['\u2013', '\u2013']);
});

test('classes take turns with the colours; real images come last', () => {
  const entries = of({ by: 'class', showReal: true });
  assert.deepEqual(
    entries.map((e) => e.text),
    ['Coat (700)', 'Bag (500)', 'real', 'real, missed by the pool'],
  );
  assert.equal(entries[1].colour, '#0072b2');
});

test('colours go from dark blue to yellow, and stay within', () => {
  assert.equal(ramp(0), 'rgb(0,34,78)');
  assert.equal(ramp(-1), ramp(0));
  assert.equal(ramp(2), ramp(1));
  assert.deepEqual(toRGB('rgba(1, 2, 3, 0.5)'), [1, 2, 3]);
  assert.deepEqual(toRGB('transparent'), [255, 255, 255]);
  assert.equal(mixed([0, 0, 0], [100, 200, 50], 0.5), 'rgb(50,100,25)');
  assert.equal(packed([255, 0, 0]) >>> 0, 0xff0000ff);
});
