import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mapCommand, panelCommand } from '../../psr_nb/static/keyboard.js';

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
