// The map: every candidate a mark on one canvas, what moves with the pointer on a second above it.

import { greyOf, mixed, packed, ramp, SHADES, toRGB } from './colours.js';
import { button, check, coalesced, h, menu } from './dom.js';
import { countsOf, passing, colourOf as placeOfColour } from './filter.js';
import { mapCommand } from './keyboard.js';
import { boxAround, inside } from './lasso.js';
import { legendEntries, SIDES } from './legend.js';
import { createLegend } from './legendbox.js';
import { tell } from './model.js';
import { finiteRange } from './numbers.js';
import { fit, moved, nearest, neighbour, project, span, zoomed } from './picking.js';
import { put, stamp } from './stamps.js';

const MODES = [
  ['move', 'Move', 'Drag to move; Ctrl with the wheel zooms, and the wheel alone after a click into the map'],
  ['lasso', 'Lasso', 'Draw around candidates (also with Shift)'],
  ['box', 'Box', 'Drag a box around candidates'],
];
const KEYS =
  'Map of the candidates. Arrow keys go to the next candidate, Enter pins, B bans, plus and minus zoom, 0 shows all.';

// Drawn marks by state and colour, for one drawing.
function markMaker(desk, by, values, radius, edge) {
  const { about, n } = desk;
  const [low, high] = by === 'state' || by === 'class' ? [Infinity, -Infinity] : finiteRange(values);
  const keyOf = (i) => {
    if (by === 'state') return 0;
    if (by === 'class') {
      const label = Math.floor(i / n);
      const place = placeOfColour(desk.filter, label);
      return place < 0 ? -1 - (label % SHADES) : place;
    }
    return Number.isFinite(values[i]) ? Math.round((31 * (values[i] - low)) / Math.max(high - low, 1e-12)) : -1;
  };
  const colourOf = (state, key) => {
    if (by === 'state') return state.colour;
    if (by === 'class') return key < 0 ? greyOf(-1 - key) : about.class_colours[key % about.class_colours.length];
    return key < 0 ? '#888888' : ramp(key / 31);
  };
  const made = new Map();
  const markOf = (code, i) => {
    const state = about.states[code];
    const key = keyOf(i);
    const name = 10000 * code + key; // a number: thousands of texts in each drawing take a millisecond
    if (!made.has(name))
      made.set(name, stamp(state.shape, colourOf(state, key), radius * state.size, state.top ? edge : null));
    return made.get(name);
  };
  return { markOf, low, high };
}

// The buttons and menus above the map.
function createTools(desk, over, map) {
  const { model, about } = desk;
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const modes = MODES.map(([name, text, words]) => button(text, name, () => choose(name), words));
  const choose = (name) => {
    map.mode = name;
    for (const b of modes) b.setAttribute('aria-pressed', b.dataset.do === name);
    over.style.cursor = name === 'move' ? 'grab' : 'crosshair';
  };
  choose('move');
  const setOnly = (value) => {
    desk.only = +value;
    map.drawAll();
    desk.fillSheet();
  };
  const setReal = (on) => {
    desk.showReal = on;
    map.drawAll();
  };
  const colours = about.colours.map((c) => [c, c.replaceAll('_', ' ')]);
  const colour = menu('Colour', colours, model.get('colour_by'), (v) => set('colour_by', v), 'colour_by');
  const which = menu('Class', [[-1, 'all'], ...about.classes.map((c, i) => [i, c])], -1, setOnly, 'class');
  const maps = about.maps.map((m) => [m, m.toUpperCase()]);
  const kind = menu('Map', maps, model.get('map'), (v) => set('map', v), 'map');
  const realHint = 'Real images in the same map; filled triangles are those without a similar candidate';
  const real = check('Real images', 'real', false, setReal, realHint);
  const home = button('Reset view', 'home', map.home, 'Show the whole map');
  const group = h('span', { class: 'group', role: 'group', 'aria-label': 'What dragging does' }, ...modes);
  const chosen = [...(about.maps.length > 1 ? [kind] : []), ...(about.real ? [real] : [])];
  const update = () => {
    colour.select.value = model.get('colour_by');
    kind.select.value = model.get('map');
  };
  return { node: h('div', { class: 'tools' }, group, colour, which, ...chosen, home), update };
}

// Hears the pointer: moving, lasso and box, pointing and clicking.
function hearPointer(desk, over, map) {
  let drag = null;
  const where = (event) => {
    const r = over.getBoundingClientRect();
    return [((event.clientX - r.left) * over.width) / r.width, ((event.clientY - r.top) * over.height) / r.height];
  };
  over.addEventListener('pointerdown', (event) => {
    const [x, y] = where(event);
    const kind = event.shiftKey && map.mode === 'move' ? 'lasso' : map.mode;
    drag = { x, y, vx: map.view.x, vy: map.view.y, moved: false, kind };
    over.setPointerCapture(event.pointerId);
    if (kind !== 'move') map.path = [[x, y]];
  });
  over.addEventListener('pointermove', (event) => {
    const [x, y] = where(event);
    if (!drag) {
      const id = map.at(x, y);
      if (id >= 0 && id !== desk.current) desk.focusOn(id);
      return;
    }
    if (Math.hypot(x - drag.x, y - drag.y) > 3 * map.dpr) drag.moved = true;
    if (!drag.moved) return;
    if (drag.kind === 'move') map.look(moved(map.view, drag.vx + x - drag.x, drag.vy + y - drag.y));
    else {
      if (drag.kind === 'lasso') map.path.push([x, y]);
      else map.path = boxAround(drag.x, drag.y, x, y);
      map.drawOver();
    }
  });
  over.addEventListener('pointerup', (event) => {
    const was = drag;
    drag = null;
    if (!was) return;
    if (!was.moved) {
      map.path = null;
      const id = map.at(...where(event));
      if (id >= 0) {
        desk.focusOn(id);
        if (id < desk.total && !desk.still) desk.act('toggle', [id]);
      }
      map.drawOver();
    } else if (was.kind !== 'move') map.hold();
  });
  // The wheel belongs to the page, until somebody has clicked into the map or holds a key.
  let entered = false;
  over.addEventListener('pointerdown', () => {
    entered = true;
  });
  over.addEventListener('pointerleave', () => {
    entered = false;
  });
  const wheel = (event) => {
    if (!entered && !event.ctrlKey && !event.metaKey && !event.altKey) return;
    event.preventDefault();
    map.look(zoomed(map.view, ...where(event), Math.exp(-event.deltaY * 0.0015)));
  };
  over.addEventListener('wheel', wheel, { passive: false });
}

function hearKeys(desk, over, map) {
  over.addEventListener('keydown', (event) => {
    const command = mapCommand(event);
    const valid = desk.current >= 0 && desk.current < desk.total;
    const middle = [over.width / 2, over.height / 2];
    if (command?.do === 'walk') {
      const id = map.next(valid ? desk.current : -1, command.way, middle);
      if (id >= 0) desk.focusOn(id);
    } else if (command?.do === 'zoom') map.look(zoomed(map.view, ...middle, command.factor));
    else if (command?.do === 'home') map.home();
    else if (command?.do === 'toggle' && valid && !desk.still) desk.act('toggle', [desk.current]);
    else return;
    event.preventDefault();
  });
}

export function createMap(desk) {
  const { model, about, n, total, still } = desk;
  const points = h('canvas', { 'aria-hidden': true });
  const over = h('canvas', { tabindex: 0, role: 'application', 'aria-label': KEYS });
  const plot = h('div', { class: 'plot' }, points, over);
  const map = { mode: 'move', view: null, path: null, dpr: 1 };
  let screen = new Float32Array(0);
  let realScreen = new Float32Array(0);
  let drawn = 0;
  let wanted = null; // which candidates the legend lets through; null: all

  const size = () => {
    const r = plot.getBoundingClientRect();
    const d = Math.min(2, devicePixelRatio || 1);
    return [Math.max(1, Math.round(r.width * d)), Math.max(1, Math.round(r.height * d)), d];
  };
  const shown = () => span(desk.only, n, total);
  const differing = () => (desk.showing === 'apart' && desk.comparing ? desk.comparing() : null);
  const placed = (places, i) => [places[2 * i], places[2 * i + 1]];

  // Reads the size, and the whole map is shown until somebody has moved it.
  function settle() {
    const [width, height, dpr] = size();
    map.dpr = dpr;
    if (points.width !== width || points.height !== height) {
      for (const canvas of [points, over]) {
        canvas.width = width;
        canvas.height = height;
      }
      if (map.view?.home) map.view = null;
    }
    const whole = fit(desk.xy, width, height, dpr);
    if (!map.view) map.view = whole;
    const zoom = Math.min(2.2, Math.sqrt(map.view.s / whole.s));
    const plain = total <= 1500 ? 4 : total <= 20000 ? 2.6 : 1.5;
    return { width, height, radius: plain * dpr * Math.max(0.8, zoom) };
  }

  function drawCandidates(paper, edge, { pixels, width, height, radius }) {
    screen = project(map.view, desk.xy, screen);
    wanted = passing(desk.filter, desk.states, n);
    const marks = markMaker(desk, model.get('colour_by'), desk.values, radius, edge);
    const copy = (mark, i) => put(pixels, width, height, mark, screen[2 * i] | 0, screen[2 * i + 1] | 0);
    const apart = differing(); // two settings are compared: everything else is faint
    const faintly = (i) =>
      apart || (desk.only >= 0 && Math.floor(i / n) !== desk.only) || (wanted !== null && !wanted(i));
    if (apart || desk.only >= 0 || wanted) {
      const faint = stamp('circle', mixed(paper, [128, 128, 128], 0.35), Math.max(1, radius * 0.6));
      for (let i = 0; i < total; i++) if (faintly(i)) copy(faint, i);
    }
    if (apart) return marks;
    const layers = about.states.map(() => []);
    for (let [i, end] = shown(); i < end; i++) if (!wanted || wanted(i)) layers[desk.states[i]].push(i);
    const draw = (some) => {
      for (const code of about.order) for (const i of layers[code]) if (some(i)) copy(marks.markOf(code, i), i);
    };
    if (model.get('colour_by') === 'class' && desk.filter.many) {
      const grey = (i) => placeOfColour(desk.filter, Math.floor(i / n)) < 0;
      draw(grey); // a class with a colour is not hidden by those without
      draw((i) => !grey(i));
    } else draw(() => true);
    return marks;
  }

  function drawReal(paper, ink, edge, { pixels, width, height, radius }) {
    const { realMissed, realLabels, only } = desk;
    realScreen = project(map.view, desk.realXY);
    const hit = stamp('hollow', mixed(paper, toRGB(ink), 0.6), Math.max(2.5, radius * 0.6));
    const missed = stamp('triangle', ink, Math.max(3.5 * map.dpr, radius), edge);
    for (const pass of [0, 1])
      for (let i = 0; i < realMissed.length; i++) {
        if (realMissed[i] !== pass || (only >= 0 && realLabels[i] !== only)) continue;
        put(pixels, width, height, pass ? missed : hit, realScreen[2 * i] | 0, realScreen[2 * i + 1] | 0);
      }
  }

  const legend = createLegend(desk, () => map.drawAll());
  let legendOf = '';
  function drawLegend(by, low, high, edge, ink) {
    const { filter } = desk;
    const counts = countsOf(filter, desk.states, n, about, shown());
    const { ofState, ofClass } = counts;
    const picked = [filter.states, filter.classes, filter.coloured].map((set) => [...set].join());
    const apart = differing() && desk.pair.map(desk.pairName);
    const key = [by, low, high, ofState, by === 'class' ? ofClass : '', edge, desk.showReal, apart, ...picked].join(
      '|',
    );
    if (legendOf === key) return;
    legendOf = key;
    const { classes, class_colours: classColours, states } = about;
    const { coloured } = filter;
    const what = {
      by,
      low,
      high,
      classes,
      classColours,
      coloured,
      states,
      counts,
      showReal: desk.showReal,
      apart,
      ink,
    };
    legend.fill(legendEntries(what), by);
  }

  map.drawAll = () => {
    if (!desk.xy.length || size()[0] < 2) return;
    const { width, height, radius } = settle();
    const { backgroundColor: edge, color: ink } = getComputedStyle(desk.box);
    const paper = toRGB(edge);
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(packed(paper));
    const target = { pixels, width, height, radius };
    const { low, high } = drawCandidates(paper, edge, target);
    realScreen = new Float32Array(desk.realXY.length);
    if (desk.showReal) drawReal(paper, ink, edge, target);
    points.getContext('2d').putImageData(image, 0, 0);
    map.drawOver();
    drawLegend(model.get('colour_by'), low, high, edge, ink);
    drawn += 1;
    desk.box.dataset.drawn = drawn;
  };

  function drawPath(c) {
    c.beginPath();
    map.path.forEach(([x, y], i) => {
      if (i) c.lineTo(x, y);
      else c.moveTo(x, y);
    });
    c.closePath();
    c.fillStyle = '#0072b222';
    c.fill();
    c.strokeStyle = '#0072b2';
    c.lineWidth = 1.5 * map.dpr;
    c.stroke();
  }

  // What is in one of two compared settings only: a disc for the first, a ring for the second.
  function drawApart(c) {
    const found = differing();
    if (!found) return;
    const { backgroundColor } = getComputedStyle(desk.box);
    c.lineWidth = 2.4 * map.dpr;
    found.forEach((pair, label) => {
      if (desk.only >= 0 && desk.only !== label) return;
      pair.forEach((ids, side) => {
        c.strokeStyle = side ? SIDES[1] : backgroundColor;
        c.fillStyle = SIDES[0];
        for (const i of ids) {
          const [x, y] = placed(screen, label * n + i);
          c.beginPath();
          c.arc(x, y, 6 * map.dpr, 0, 7);
          if (!side) c.fill();
          c.stroke();
        }
      });
    });
  }

  map.drawOver = () => {
    const c = over.getContext('2d');
    const id = desk.current;
    c.clearRect(0, 0, over.width, over.height);
    drawApart(c);
    if (map.path?.length > 1) drawPath(c);
    if (id < 0 || (id >= total && !desk.showReal)) return;
    const [x, y] = id < total ? placed(screen, id) : placed(realScreen, id - total);
    const { backgroundColor, color } = getComputedStyle(desk.box);
    for (const [width, colour] of [
      [4.5, backgroundColor],
      [2.2, color],
    ]) {
      c.beginPath();
      c.arc(x, y, 8.5 * map.dpr, 0, 7);
      c.strokeStyle = colour;
      c.lineWidth = width * map.dpr;
      c.stroke();
    }
  };

  // The candidate or real image at a place; -1 where there is none.
  map.at = (x, y) => {
    const found = nearest(screen, x, y, 12 * map.dpr, shown(), wanted);
    if (!desk.showReal) return found.id;
    const own = (i) => desk.only < 0 || desk.realLabels[i] === desk.only;
    const real = nearest(realScreen, x, y, found.distance, [0, desk.realMissed.length], own);
    return real.id < 0 ? found.id : total + real.id;
  };
  map.next = (from, way, middle) =>
    neighbour(screen, from < 0 ? middle : placed(screen, from), way, shown(), from, wanted);

  const redraw = coalesced(requestAnimationFrame, map.drawAll);
  map.look = (view) => {
    map.view = view;
    redraw();
  };
  map.home = () => {
    map.view = null;
    map.drawAll();
  };
  map.forgetPath = () => {
    map.path = null;
    map.drawOver();
  };
  // What was drawn around goes to the sheet.
  map.hold = () => {
    const held = inside(map.path, screen, shown());
    const ids = wanted ? held.filter(wanted) : held;
    desk.lassoed = ids;
    desk.showing = 'lasso';
    desk.fillSheet();
    if (!still) setTimeout(() => tell(model, { do: 'lasso', ids })); // after the request for pictures
  };

  const tools = createTools(desk, over, map);
  hearPointer(desk, over, map);
  hearKeys(desk, over, map);
  map.node = h('div', { class: 'panel map', role: 'group', 'aria-label': 'Map' }, tools.node, plot, legend.node);
  map.updateTools = tools.update;
  return Object.assign(map, { plot, over });
}
