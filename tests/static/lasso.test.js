import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boxAround, contains, inside } from '../../psr_nb/static/lasso.js';

const grid = Float32Array.from(Array.from({ length: 100 }, (_, i) => [i % 10, Math.floor(i / 10)]).flat());

test('a box holds what is in it, whichever corner it was begun at', () => {
  for (const box of [boxAround(1.5, 1.5, 3.5, 3.5), boxAround(3.5, 3.5, 1.5, 1.5), boxAround(3.5, 1.5, 1.5, 3.5)])
    assert.deepEqual(inside(box, grid, [0, 100]), [22, 23, 32, 33]);
});

test('only the class that is shown is held', () => {
  assert.deepEqual(inside(boxAround(-1, -1, 20, 20), grid, [40, 43]), [40, 41, 42]);
});

test('a hollow is outside', () => {
  const u = [
    [0, 0],
    [9, 0],
    [9, 9],
    [6, 9],
    [6, 3],
    [3, 3],
    [3, 9],
    [0, 9],
  ];
  assert.ok(contains(u, 1, 8) && contains(u, 8, 8) && contains(u, 4.5, 1));
  assert.ok(!contains(u, 4.5, 6) && !contains(u, 20, 1));
});

test('a lasso that crosses itself holds by the even-odd rule', () => {
  const bow = [
    [0, 0],
    [9, 9],
    [9, 0],
    [0, 9],
  ];
  assert.ok(contains(bow, 1, 4.5) && contains(bow, 8, 4.5) && !contains(bow, 4.5, 1));
});

test('two points hold nothing', () => {
  assert.deepEqual(
    inside(
      [
        [0, 0],
        [9, 9],
      ],
      grid,
      [0, 100],
    ),
    [],
  );
});
