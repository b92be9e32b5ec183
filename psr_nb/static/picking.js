// Where candidates lie on the screen, and which of them is meant. Points are flat arrays: x of the first, y of the first, …

// The view that shows all points, with a margin.
export function fit(xy, width, height, dpr) {
  let left = Infinity;
  let right = -Infinity;
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < xy.length; i += 2) {
    left = Math.min(left, xy[i]);
    right = Math.max(right, xy[i]);
    low = Math.min(low, xy[i + 1]);
    high = Math.max(high, xy[i + 1]);
  }
  const margin = 32 * dpr;
  const s = Math.min((width - margin) / Math.max(right - left, 1e-9), (height - margin) / Math.max(high - low, 1e-9));
  return { s, x: width / 2 - (s * (left + right)) / 2, y: height / 2 + (s * (low + high)) / 2, home: true };
}

// The view after zooming by a factor around a point of the screen, which stays where it is.
export const zoomed = (view, x, y, factor) => ({
  s: view.s * factor,
  x: x + (view.x - x) * factor,
  y: y + (view.y - y) * factor,
  home: false,
});

export const moved = (view, x, y) => ({ ...view, x, y, home: false });

// Places on the screen, written into `out` where it has the right length.
export function project(view, xy, out = null) {
  const screen = out?.length === xy.length ? out : new Float32Array(xy.length);
  for (let i = 0; i < xy.length; i += 2) {
    screen[i] = view.x + view.s * xy[i];
    screen[i + 1] = view.y - view.s * xy[i + 1];
  }
  return screen;
}

// First and one past the last candidate of a class; of all for -1.
export const span = (only, n, total) => (only < 0 ? [0, total] : [only * n, (only + 1) * n]);

// The point nearest to a place, closer than `within`; {id: -1} where there is none. `wanted` may leave points out.
export function nearest(screen, x, y, within, [begin, end], wanted = null) {
  let best = within * within;
  let id = -1;
  for (let i = begin; i < end; i++) {
    if (wanted && !wanted(i)) continue;
    const dx = screen[2 * i] - x;
    const dy = screen[2 * i + 1] - y;
    const q = dx * dx + dy * dy;
    if (q < best) {
      best = q;
      id = i;
    }
  }
  return { id, distance: Math.sqrt(best) };
}

// The next point in a direction ([1, 0] is right), where what lies aside counts three times; -1 where there is none.
export function neighbour(screen, [x, y], [wx, wy], [begin, end], current = -1, wanted = null) {
  let best = Infinity;
  let id = -1;
  for (let i = begin; i < end; i++) {
    if (wanted && !wanted(i)) continue;
    const dx = screen[2 * i] - x;
    const dy = screen[2 * i + 1] - y;
    const along = dx * wx + dy * wy;
    const aside = Math.abs(dx * wy + dy * wx);
    if (i !== current && along > 0.5 && along + 3 * aside < best) {
      best = along + 3 * aside;
      id = i;
    }
  }
  return id;
}
