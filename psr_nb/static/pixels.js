// Bytes of the kernel as pictures and numbers.

// Picture of (n, height, width, channels) bytes that begins at `offset`.
export function picture(bytes, offset, width, height, channels) {
  const image = new ImageData(width, height);
  const out = image.data;
  const green = channels > 1 ? 1 : 0;
  const blue = channels > 1 ? 2 : 0;
  for (let i = 0, j = offset; i < out.length; i += 4, j += channels) {
    out[i] = bytes[j];
    out[i + 1] = bytes[j + green];
    out[i + 2] = bytes[j + blue];
    out[i + 3] = 255;
  }
  return image;
}

export function paint(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

// The address of a picture, for an `<img>`: many small canvases would each be a layer of the page.
const easel = typeof document === 'undefined' ? null : document.createElement('canvas');
export function addressOf(image) {
  paint(easel, image);
  return easel.toDataURL();
}

// What one picture has that the other lacks, around grey.
export function difference(before, now) {
  const out = new ImageData(before.width, before.height);
  for (let k = 0; k < out.data.length; k++) out.data[k] = k % 4 === 3 ? 255 : 128 + (now.data[k] - before.data[k]) / 2;
  return out;
}

export const bytesOf = (view) =>
  view ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(0);
const copied = (view) => view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
export const wordsOf = (view) => (view?.byteLength ? new Uint16Array(copied(view)) : new Uint16Array(0));
export const floatsOf = (view) => (view?.byteLength ? new Float32Array(copied(view)) : new Float32Array(0));
