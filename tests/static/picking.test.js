import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fit, moved, nearest, neighbour, project, span, zoomed } from '../../psr_nb/static/picking.js';

const xy = Float32Array.from([0, 0, 1, 0, 0, 1, 1, 1]); // a square: low left, low right, high left, high right
const all = [0, 4];

test('the whole map is in view, with the y axis upwards', () => {
  const screen = project(fit(xy, 200, 100, 1), xy);
  assert.deepEqual([...screen], [66, 84, 134, 84, 66, 16, 134, 16]);
});

test('points that lie on each other are in the middle', () => {
  const screen = project(fit(Float32Array.from([5, 5, 5, 5]), 200, 100, 2), Float32Array.from([5, 5]));
  assert.ok(Math.abs(screen[0] - 100) < 1e-3 && Math.abs(screen[1] - 50) < 1e-3);
});

test('an array of the right length is used again', () => {
  const view = fit(xy, 200, 100, 1);
  const out = new Float32Array(8);
  assert.equal(project(view, xy, out), out);
  assert.notEqual(project(view, xy, new Float32Array(2)).length, 2);
});

test('zooming leaves the point under the pointer where it is', () => {
  const before = fit(xy, 200, 100, 1);
  const after = zoomed(before, 134, 16, 3);
  const screen = project(after, xy);
  assert.ok(Math.abs(screen[6] - 134) < 1e-3 && Math.abs(screen[7] - 16) < 1e-3);
  assert.ok(before.home && !after.home && !moved(before, 1, 2).home);
});

test('a class is a run of candidates; no class is all', () => {
  assert.deepEqual(span(-1, 10, 30), [0, 30]);
  assert.deepEqual(span(2, 10, 30), [20, 30]);
});

test('the nearest point counts only within reach, and within the class', () => {
  const screen = project(fit(xy, 200, 100, 1), xy);
  assert.equal(nearest(screen, 130, 20, 12, all).id, 3);
  assert.equal(nearest(screen, 100, 50, 12, all).id, -1);
  assert.equal(nearest(screen, 130, 20, 12, [0, 3]).id, -1);
  assert.equal(nearest(screen, 130, 20, 200, all, (i) => i !== 3).id, 1);
});

test('of two sorts of points the nearer wins', () => {
  const screen = Float32Array.from([0, 0]);
  const found = nearest(screen, 3, 4, 12, [0, 1]);
  assert.equal(found.distance, 5);
  assert.equal(nearest(Float32Array.from([3, 8]), 3, 4, found.distance, [0, 1]).id, 0);
  assert.equal(nearest(Float32Array.from([3, 10]), 3, 4, found.distance, [0, 1]).id, -1);
});

test('arrow keys walk to the next point in their direction', () => {
  const screen = project(fit(xy, 200, 100, 1), xy);
  const at = (i) => [screen[2 * i], screen[2 * i + 1]];
  assert.equal(neighbour(screen, at(0), [1, 0], all, 0), 1);
  assert.equal(neighbour(screen, at(0), [0, -1], all, 0), 2); // up on the screen
  assert.equal(neighbour(screen, at(1), [1, 0], all, 1), -1);
  assert.equal(neighbour(screen, at(3), [-1, 0], all, 3), 2);
});
