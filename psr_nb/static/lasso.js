// Which points lie inside what was drawn around them.

export const boxAround = (ax, ay, bx, by) => [
  [ax, ay],
  [bx, ay],
  [bx, by],
  [ax, by],
];

// Whether a point is inside a polygon, by the even-odd rule.
export function contains(polygon, x, y) {
  let odd = false;
  for (let j = 0, k = polygon.length - 1; j < polygon.length; k = j++) {
    const [xj, yj] = polygon[j];
    const [xk, yk] = polygon[k];
    if (yj > y !== yk > y && x < ((xk - xj) * (y - yj)) / (yk - yj) + xj) odd = !odd;
  }
  return odd;
}

// Points of a flat array inside a polygon, from `begin` to before `end`.
export function inside(polygon, screen, [begin, end]) {
  const xs = polygon.map((p) => p[0]);
  const ys = polygon.map((p) => p[1]);
  const extent = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const [left, right] = extent(xs);
  const [top, bottom] = extent(ys);
  const out = [];
  for (let i = begin; i < end; i++) {
    const x = screen[2 * i];
    const y = screen[2 * i + 1];
    if (x >= left && x <= right && y >= top && y <= bottom && contains(polygon, x, y)) out.push(i);
  }
  return out;
}
