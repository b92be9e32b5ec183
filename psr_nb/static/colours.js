// Colours as numbers.

const CIVIDIS = [
  '#00224e',
  '#123570',
  '#3b496c',
  '#575d6d',
  '#707173',
  '#8a8678',
  '#a59c74',
  '#c3b369',
  '#e1cc55',
  '#fee838',
];

const rgbOf = (hex) => [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));

// Red, green and blue of what the browser says a colour is; white where it says nothing.
export const toRGB = (text) => (text.match(/[\d.]+/g) || [255, 255, 255]).slice(0, 3).map(Number);

// `share` of the second colour, the rest of the first.
export const mixed = (a, b, share) => `rgb(${a.map((v, i) => Math.round(v * (1 - share) + b[i] * share)).join(',')})`;

// One colour as the four bytes of a pixel.
export const packed = ([r, g, b]) => r | (g << 8) | (b << 16) | (255 << 24);

// The grey of a class that has no colour of its own: one of 32 shades, so that neighbours in the legend differ.
export const SHADES = 32;
export const greyOf = (label) => {
  const grey = 100 + 2 * (label % SHADES);
  return `#${[grey, grey + 6, grey + 12].map((v) => v.toString(16)).join('')}`;
};

// Cividis, which readers with any colour vision see in the same order: 0 dark blue, 1 yellow.
export function ramp(t) {
  const x = Math.min(0.9999, Math.max(0, t)) * (CIVIDIS.length - 1);
  const i = Math.floor(x);
  return mixed(rgbOf(CIVIDIS[i]), rgbOf(CIVIDIS[i + 1]), x - i);
}
