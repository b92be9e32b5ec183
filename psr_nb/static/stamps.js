// One point of the map as pixels: shape and colour are drawn once, then copied for every candidate.

// Corners in units of the radius.
const CORNERS = {
  diamond: [
    [0, -1.3],
    [1.3, 0],
    [0, 1.3],
    [-1.3, 0],
  ],
  triangle: [
    [0, -1.2],
    [1.15, 1],
    [-1.15, 1],
  ],
  hollow: [
    [0, -1.2],
    [1.15, 1],
    [-1.15, 1],
  ],
  down: [
    [0, 1.2],
    [1.15, -1],
    [-1.15, -1],
  ],
};

// Strokes that are not closed.
const LINES = {
  x: [
    [
      [-1, -1],
      [1, 1],
    ],
    [
      [1, -1],
      [-1, 1],
    ],
  ],
  bar: [
    [
      [-1.2, 0],
      [1.2, 0],
    ],
  ],
};

const STROKED = ['ring', 'hollow']; // the outline of a circle, of a triangle

function outline(c, shape, r) {
  c.beginPath();
  if (shape === 'circle' || shape === 'ring') c.arc(0, 0, r, 0, 7);
  else if (shape === 'square') c.rect(-1.1 * r, -1.1 * r, 2.2 * r, 2.2 * r);
  for (const line of LINES[shape] || []) {
    const [[ax, ay], [bx, by]] = line;
    c.moveTo(ax * r, ay * r);
    c.lineTo(bx * r, by * r);
  }
  if (CORNERS[shape]) {
    const [[x, y], ...others] = CORNERS[shape];
    c.moveTo(x * r, y * r);
    for (const [a, b] of others) c.lineTo(a * r, b * r);
    c.closePath();
  }
}

// The pixels of a drawn mark that are not empty: offsets from its middle, colour and opacity.
export function pixelsOf(data, size, half) {
  const dx = [];
  const dy = [];
  const rgb = [];
  const alpha = [];
  for (let i = 0; i < size * size; i++) {
    if (data[4 * i + 3] <= 8) continue;
    dx.push((i % size) - half);
    dy.push(Math.floor(i / size) - half);
    rgb.push(data[4 * i] | (data[4 * i + 1] << 8) | (data[4 * i + 2] << 16) | (255 << 24));
    alpha.push(data[4 * i + 3] / 255);
  }
  return {
    dx: Int16Array.from(dx),
    dy: Int16Array.from(dy),
    rgb: Uint32Array.from(rgb),
    alpha: Float32Array.from(alpha),
  };
}

export function stamp(shape, colour, radius, edge) {
  const half = Math.ceil(radius + 2);
  const size = 2 * half + 1;
  const canvas = new OffscreenCanvas(size, size);
  const c = canvas.getContext('2d', { willReadFrequently: true });
  c.translate(half + 0.5, half + 0.5);
  outline(c, shape, radius);
  if (LINES[shape] || STROKED.includes(shape)) {
    c.lineWidth = Math.max(1, radius * 0.6);
    c.strokeStyle = colour;
    c.stroke();
  } else {
    if (edge) {
      c.lineWidth = 2.4;
      c.strokeStyle = edge;
      c.stroke();
    }
    c.fillStyle = colour;
    c.fill();
  }
  return { ...pixelsOf(c.getImageData(0, 0, size, size).data, size, half), canvas };
}

// Copies a mark to a place; half-covered pixels are mixed with what is there.
export function put(pixels, width, height, s, x, y) {
  for (let k = 0; k < s.dx.length; k++) {
    const px = x + s.dx[k];
    const py = y + s.dy[k];
    if (px < 0 || py < 0 || px >= width || py >= height) continue;
    const at = py * width + px;
    const a = s.alpha[k];
    if (a > 0.99) {
      pixels[at] = s.rgb[k];
      continue;
    }
    const old = pixels[at];
    const now = s.rgb[k];
    const b = 1 - a;
    pixels[at] =
      (((old & 255) * b + (now & 255) * a) & 255) |
      (((((old >>> 8) & 255) * b + ((now >>> 8) & 255) * a) & 255) << 8) |
      (((((old >>> 16) & 255) * b + ((now >>> 16) & 255) * a) & 255) << 16) |
      (255 << 24);
  }
}
