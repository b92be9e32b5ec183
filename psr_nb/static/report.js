// The report: plotly's figures in the page's own colours, and a card for each point of the map.

import { fixed } from './numbers.js';

const SIDE = 128; // of a thumbnail on the card, in pixels
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const theme = () => ({
  'font.color': css('--ink'),
  'font.family': getComputedStyle(document.body).fontFamily,
  'xaxis.gridcolor': css('--line'),
  'yaxis.gridcolor': css('--line'),
  'hoverlabel.bgcolor': css('--paper'),
  'hoverlabel.font.color': css('--ink'),
  'hoverlabel.bordercolor': css('--line'),
});

function drawFigure(source) {
  const div = document.getElementById(source.dataset.for);
  const figure = JSON.parse(source.textContent);
  delete figure.layout.template;
  const isMap = div.id === 'map';
  const config = {
    responsive: true,
    displaylogo: false,
    scrollZoom: isMap,
    displayModeBar: isMap ? undefined : false,
    modeBarButtonsToRemove: ['toImage', 'lasso2d', 'select2d', 'autoScale2d'],
  };
  Plotly.newPlot(div, figure.data, figure.layout, config).then(() => Plotly.relayout(div, theme()));
  return div;
}

// Fills the card with what the page knows of one point, and puts it beside the pointer.
function cardOf(pool, card) {
  const thumb = card.querySelector('.thumb');
  const list = card.querySelector('dl');
  thumb.style.backgroundImage = `url(${document.getElementById('sprites').src})`;
  thumb.style.backgroundSize = `${pool.columns * SIDE}px auto`;
  const fill = (i) => {
    const name = pool.classes[pool.label[i]];
    thumb.style.backgroundPosition = `${-(i % pool.columns) * SIDE}px ${-Math.floor(i / pool.columns) * SIDE}px`;
    thumb.setAttribute('aria-label', `${name}, candidate ${pool.index[i]}`);
    card.querySelector('strong').textContent = name;
    card.querySelector('.state').textContent = `candidate ${pool.index[i]}, ${pool.states[pool.state[i]]}`;
    list.replaceChildren();
    for (const [score, values] of Object.entries(pool.scores)) {
      const dt = document.createElement('dt');
      const dd = document.createElement('dd');
      dt.textContent = score.replaceAll('_', ' ');
      dd.textContent = fixed(values[i], 2);
      list.append(dt, dd);
    }
    card.hidden = false;
  };
  const place = ({ clientX: x, clientY: y }) => {
    const box = card.getBoundingClientRect();
    const left = x + 18 + box.width > innerWidth ? x - 18 - box.width : x + 18;
    card.style.left = `${Math.max(4, left)}px`;
    card.style.top = `${Math.max(4, Math.min(innerHeight - box.height - 4, y - box.height / 2))}px`;
  };
  return { fill, place };
}

function hearMap(map) {
  const pool = JSON.parse(document.getElementById('pool').textContent);
  const node = document.getElementById('card');
  const card = cardOf(pool, node);
  const rowOf = new Map(pool.position.map((p, i) => [p, i]));
  let pinned = false;
  const show = ({ points, event }) => {
    const i = rowOf.get(points[0].customdata[0]);
    if (i === undefined) return;
    card.fill(i);
    card.place(event);
  };
  const leave = () => {
    pinned = false;
    node.hidden = true;
  };
  map.on('plotly_hover', (event) => {
    if (!pinned) show(event);
  });
  map.on('plotly_unhover', () => {
    if (!pinned) node.hidden = true;
  });
  map.on('plotly_click', (event) => {
    pinned = !pinned;
    show(event);
  });
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape') leave();
  });
  addEventListener('scroll', leave, { passive: true });
  document.getElementById('only').addEventListener('change', ({ target: { value } }) => {
    const full = map.data.map((t) => (t.meta === 'selected' ? 1 : 0.75));
    const isWanted = ([position]) => String(pool.label[rowOf.get(position)]) === value;
    const opacity = map.data.map((t, i) =>
      value === '' ? full[i] : t.customdata.map((row) => (isWanted(row) ? full[i] : 0.07)),
    );
    Plotly.restyle(map, { 'marker.opacity': opacity });
  });
}

const plots = [...document.querySelectorAll('script[data-for]')].map(drawFigure);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const div of plots) Plotly.relayout(div, theme());
});
const map = document.getElementById('map');
if (map) hearMap(map);
