// Image files to the pixels that the model takes, as classifier/images.py does it: the longer side is cut to a
// square about the centre, and the square resized by Pillow's bilinear filter. A canvas resizes otherwise, and
// the model would answer otherwise.

const MAX_PIXELS = 100_000_000;
const STRIP = 256; // rows read at a time, so that a large photo needs little memory
const BITS = 22; // of fractions in Pillow's fixed-point weights

/** Decode a file: upright, without colour management, the first frame of an animation. Throws a sentence. */
async function decodeFile(file) {
  if (file.size === 0) throw new Error("The file is empty.");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new Error("This is no image that the browser can read. JPEG, PNG, WebP and GIF work; is the file whole?");
  }
  if (bitmap.width * bitmap.height > MAX_PIXELS) {
    throw new Error(`${bitmap.width} × ${bitmap.height} pixels are too many: shrink the image to below 100 million.`);
  }
  return bitmap;
}

/** The square that the model sees: RGB, row by row, size * size * 3 bytes. */
function fitToSquare(bitmap, size) {
  const side = Math.min(bitmap.width, bitmap.height);
  const columns = pillowWeights(bitmap.width, (bitmap.width - side) / 2, side, size);
  const rows = pillowWeights(bitmap.height, (bitmap.height - side) / 2, side, size);
  const [left, right] = [columns[0].start, columns[size - 1].start + columns[size - 1].weights.length];
  const [top, bottom] = [rows[0].start, rows[size - 1].start + rows[size - 1].weights.length];

  const narrowed = new Uint8Array((bottom - top) * size * 3); // each row resized, not yet the columns
  const canvas = new OffscreenCanvas(right - left, Math.min(STRIP, bottom - top));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.fillStyle = "white"; // shows where the image is transparent
  for (let y = top; y < bottom; y += STRIP) {
    const height = Math.min(STRIP, bottom - y);
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, left, y, canvas.width, height, 0, 0, canvas.width, height);
    const pixels = context.getImageData(0, 0, canvas.width, height).data;
    for (let row = 0; row < height; row++) {
      for (let x = 0; x < size; x++) {
        const first = (row * canvas.width + columns[x].start - left) * 4;
        const target = ((y - top + row) * size + x) * 3;
        weigh(pixels, first, 4, columns[x].weights, narrowed, target);
      }
    }
  }
  const square = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const first = ((rows[y].start - top) * size + x) * 3;
      weigh(narrowed, first, size * 3, rows[y].weights, square, (y * size + x) * 3);
    }
  }
  return square;
}

/**
 * Pillow's precompute_coeffs and normalize_coeffs_8bpc for the bilinear filter: for each of `size` output pixels,
 * the first input pixel and the weights from there on, as integers that add up to about 2 ** BITS.
 */
function pillowWeights(inputSize, boxStart, boxLength, size) {
  const scale = boxLength / size;
  const support = Math.max(scale, 1); // the triangle widens when it shrinks: antialiasing
  return Array.from({ length: size }, (_, i) => {
    const center = boxStart + (i + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), inputSize);
    const triangle = [];
    for (let x = start; x < end; x++) triangle.push(Math.max(1 - Math.abs((x - center + 0.5) / support), 0));
    const total = triangle.reduce((sum, value) => sum + value, 0);
    return { start, weights: Int32Array.from(triangle, (value) => Math.trunc(0.5 + (value / total) * 2 ** BITS)) };
  });
}

/** One RGB pixel as a weighted sum of pixels that lie `step` bytes apart, rounded as Pillow rounds. */
function weigh(source, first, step, weights, target, at) {
  for (let channel = 0; channel < 3; channel++) {
    let sum = 1 << (BITS - 1);
    for (let i = 0; i < weights.length; i++) sum += source[first + i * step + channel] * weights[i];
    target[at + channel] = Math.min(sum >> BITS, 255);
  }
}
