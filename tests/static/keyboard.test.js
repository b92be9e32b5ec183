import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mapCommand, panelCommand, tileCommand } from '../../psr_nb/static/keyboard.js';

test('arrows walk, plus and minus zoom, zero shows all, Enter and space pin', () => {
  assert.deepEqual(mapCommand({ key: 'ArrowUp' }), { do: 'walk', way: [0, -1] });
  assert.equal(mapCommand({ key: '+' }).factor * mapCommand({ key: '-' }).factor, 1);
  assert.deepEqual(mapCommand({ key: '=' }), mapCommand({ key: '+' }));
  assert.equal(mapCommand({ key: '0' }).do, 'home');
  assert.deepEqual([mapCommand({ key: 'Enter' }).do, mapCommand({ key: ' ' }).do], ['toggle', 'toggle']);
  assert.equal(mapCommand({ key: 'x' }), null);
});

test('undo and redo, with Control or Command', () => {
  assert.equal(panelCommand({ key: 'z', ctrlKey: true }), 'undo');
  assert.equal(panelCommand({ key: 'z', metaKey: true }), 'undo');
  assert.equal(panelCommand({ key: 'Z', ctrlKey: true, shiftKey: true }), 'redo');
  assert.equal(panelCommand({ key: 'y', ctrlKey: true }), 'redo');
  assert.equal(panelCommand({ key: 'z' }), null);
});

test('B and Delete ban, unless they belong to the browser', () => {
  assert.equal(panelCommand({ key: 'b' }), 'ban');
  assert.equal(panelCommand({ key: 'Delete' }), 'ban');
  assert.equal(panelCommand({ key: 'b', ctrlKey: true }), null);
});

test('a box that is typed in keeps its own keys, except Escape', () => {
  assert.equal(panelCommand({ key: 'z', ctrlKey: true }, true), null);
  assert.equal(panelCommand({ key: 'b' }, true), null);
  assert.equal(panelCommand({ key: 'Escape' }, true), 'forget');
});

test('in the sheet, arrows go along a row and to the nearest tile of the next', () => {
  const places = [
    [0, 0],
    [30, 0],
    [60, 0],
    [0, 40],
    [31, 40],
  ];
  const to = (key, at) => tileCommand({ key }, places, at);
  assert.deepEqual([to('ArrowRight', 0), to('ArrowLeft', 0), to('ArrowRight', 4)], [1, 0, 4]);
  assert.deepEqual([to('ArrowDown', 1), to('ArrowDown', 2), to('ArrowUp', 3), to('ArrowUp', 0)], [4, 4, 0, 0]);
  assert.deepEqual([to('Home', 3), to('End', 0), to('b', 0)], [0, 4, -1]);
});
