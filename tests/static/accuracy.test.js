import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measuredWords, scaleOf } from '../../psr_nb/static/accuracy.js';
import { dotWords, linePath, scales } from '../../psr_nb/static/chart.js';
import { placeOf } from '../../psr_nb/static/meters.js';
import { axisOf, marksOf, percent } from '../../psr_nb/static/numbers.js';
import { apart } from '../../psr_nb/static/snapshots.js';

test('an accuracy is said in percent, with its interval', () => {
  assert.equal(percent(0.7613), '76.1 %');
  assert.equal(percent(null), '\u2013');
  assert.equal(measuredWords({ measured: [0.76, 0.751, 0.769], students: 8 }), '76.0 \u00b1 0.9 %');
  assert.equal(measuredWords({ measured: [0.76, null, null], students: 1 }), '76.0 %');
  assert.equal(measuredWords({ measured: null, students: 0 }), '\u2013');
});

test('an axis holds all its values and has few marks', () => {
  const axis = axisOf([0.737, 0.769, Number.NaN]);
  assert.ok(axis.low <= 0.737 && axis.high >= 0.769);
  assert.ok(marksOf(axis).length <= 6);
  assert.equal(axisOf([]).high, 1);
  assert.ok(axisOf([0.5]).high > axisOf([0.5]).low || axisOf([0.5]).high === 0.5);
});

test('all rows share one scale', () => {
  const rows = [{ predicted: [0.7, 0.68, 0.72] }, { measured: [0.75, null, null] }, {}];
  const { low, high } = scaleOf(rows);
  assert.ok(low <= 0.68 && high >= 0.75);
});

test('a line has gaps where nothing is predicted', () => {
  const points = [
    [0, 1],
    [1, null],
    [2, 3],
    [3, 4],
  ];
  assert.equal(linePath(points), 'M0.0,1.0M2.0,3.0L3.0,4.0');
});

test('greater values stand further right and higher', () => {
  const place = scales({ low: 0, high: 1 }, { low: 0.5, high: 0.6 });
  assert.ok(place.x(1) > place.x(0));
  assert.ok(place.y(0.6) < place.y(0.5));
});

test('a dot says what it is', () => {
  const dot = { settings: { uncertainty: 0.5 }, measured: [0.76, 0.75, 0.77], students: 8 };
  const words = 'Uncertainty 0.5: 76.0 %, 8 students, from 75.0 % to 77.0 %';
  assert.equal(dotWords(dot, { name: 'uncertainty', label: 'Uncertainty' }), words);
});

test('a bar is full where its measure is at its best', () => {
  assert.equal(placeOf(1, { low: 0, high: 1, better: 'up' }), 100);
  assert.equal(placeOf(1, { low: 0, high: 1, better: 'down' }), 0);
  assert.equal(placeOf(0.25, { low: 0, high: 1, better: 'down' }), 75);
});

test('two settings are compared class by class', () => {
  const a = [[1, 2, 3], [4]];
  const b = [[3, 2, 5], [4]];
  assert.deepEqual(apart(a, b), [
    [[1], [5]],
    [[], []],
  ]);
});
