import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  clamp,
  curvePath,
  decimals,
  finiteRange,
  fixed,
  percentBetween,
  signed,
  significant,
  thousands,
} from '../../psr_nb/static/numbers.js';

test('a number is shown with the decimals of its step', () => {
  assert.deepEqual([0.05, 1, 0.25, 0.005].map(decimals), [2, 0, 2, 3]);
});

test('a difference has a sign, and a real minus', () => {
  assert.equal(signed(0.1234), '+0.123');
  assert.equal(signed(-0.1234), '\u22120.123');
  assert.equal(signed(0, 1), '+0.0');
});

test('where there is no number stands a dash', () => {
  assert.equal(fixed(0.5), '0.500');
  assert.equal(fixed(2, 1), '2.0');
  for (const none of [null, undefined, Number.NaN, Infinity]) assert.equal(fixed(none), '\u2013');
  assert.equal(significant(-Infinity), '\u2013');
  assert.equal(significant(0.012345), '0.0123');
  assert.equal(thousands(100000), '100,000');
});

test('a value between two ends is a share of the bar, and never beyond it', () => {
  assert.equal(clamp(7, 0, 5), 5);
  assert.deepEqual(
    [0.2, 0.4, 0.6, 9, -9].map((v) => Math.round(percentBetween(v, 0.2, 0.6))),
    [0, 50, 100, 100, 0],
  );
  assert.ok(percentBetween(null, 0, 1) < 0);
});

test('the range is that of finite numbers', () => {
  assert.deepEqual(finiteRange([3, Number.NaN, -1, Infinity]), [-1, 3]);
  assert.deepEqual(finiteRange([]), [Infinity, -Infinity]);
});

test('a curve keeps zero in view and fills the width', () => {
  assert.equal(curvePath([]), '');
  assert.equal(curvePath([2, 1, 0]), 'M0.0,4.0L50.0,31.0L100.0,58.0');
  assert.equal(curvePath([0]), 'M0.0,58.0');
});
