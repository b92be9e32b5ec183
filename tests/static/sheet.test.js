import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coalesced } from '../../psr_nb/static/dom.js';
import { apartWords, rowTiles } from '../../psr_nb/static/sheet.js';
import { pixelsOf, put } from '../../psr_nb/static/stamps.js';

test('a row holds the chosen in their order, and says who is pinned', () => {
  const tiles = rowTiles([4, 1], 20, (id) => id === 24, null);
  assert.deepEqual(tiles, [
    [24, 'place 1, pinned', 'pinned ', '\u25a0'],
    [21, 'place 2', '', ''],
  ]);
});

test('against what was kept, new ones have a plus, and those that went stay with a minus', () => {
  const tiles = rowTiles([1, 2], 0, () => false, new Set([1, 7]));
  assert.deepEqual(
    tiles.map(([id, , kind, mark]) => [id, kind, mark]),
    [
      [1, '', ''],
      [2, 'new', '+'],
      [7, 'gone', '\u2212'],
    ],
  );
});

test('two settings with budgets of their own are not the same images', () => {
  const names = ['now', 'before'];
  assert.equal(apartWords([[[1], [2]]], names), 'now and before differ in 1 image.');
  assert.equal(apartWords([[[], [2, 3]]], names), 'Only in now: 0. Only in before: 2.');
  assert.equal(apartWords([[[], []]], names), 'The same images.');
});

test('work asked for several times is done once, and again when asked for later', () => {
  const soon = [];
  let done = 0;
  const work = coalesced(
    (f) => soon.push(f),
    () => {
      done += 1;
    },
  );
  work();
  work();
  assert.equal(soon.length, 1);
  soon.pop()();
  assert.equal(done, 1);
  work();
  soon.pop()();
  assert.equal(done, 2);
});

test('a mark is copied with its colour, mixed where it is half there, and cut at the edge', () => {
  const data = new Uint8ClampedArray(4 * 9);
  data.set([200, 100, 0, 255], 4 * 4); // the middle of 3 × 3
  data.set([200, 100, 0, 128], 4 * 5); // right of it
  data.set([9, 9, 9, 4], 0); // next to nothing
  const mark = pixelsOf(data, 3, 1);
  assert.deepEqual(
    [[...mark.dx], [...mark.dy]],
    [
      [0, 1],
      [0, 0],
    ],
  );
  const pixels = new Uint32Array(4).fill(0xff000000);
  put(pixels, 2, 2, mark, 0, 0);
  put(pixels, 2, 2, mark, 1, 1);
  const red = [...pixels].map((p) => p & 255);
  assert.deepEqual(red, [200, 100, 0, 200]);
});
