// Image files to the pixels that the model takes, as classifier/data/images.py does it: the longer side is cut to a
// square about the centre, and the square resized by Pillow's bilinear filter. A canvas resizes otherwise, and
// the model would answer otherwise.

const MAX_PIXELS = 100_000_000;
const STRIP = 256; // rows or columns read at a time, so that a large photo needs little memory
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
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) {
    bitmap.close();
    throw new Error(`${width} × ${height} pixels are too many: shrink the image to below 100 million.`);
  }
  return bitmap;
}

/** The square that the model sees: RGB, row by row, size * size * 3 bytes. */
function fitToSquare(bitmap, size) {
  const { width, height } = bitmap;
  const side = Math.min(width, height);
  const columns = pillowWeights(width, (width - side) / 2, side, size);
  const rows = pillowWeights(height, (height - side) / 2, side, size);
  // Pillow 13 begins with the axis that shrinks far more; each pass rounds, so the order shows in the last bit.
  const tall = height - size > 2 * Math.max(width - size, 0);
  const [first, second] = tall ? [rows, columns] : [columns, rows];
  const [along, across] = [span(first), span(second)];

  const narrowed = new Uint8Array(across.length * size * 3); // lines of the second axis, resized along the first
  for (let line = 0; line < across.length; line += STRIP) {
    const count = Math.min(STRIP, across.length - line);
    const pixels = tall
      ? readPixels(bitmap, across.start + line, along.start, count, along.length)
      : readPixels(bitmap, along.start, across.start + line, along.length, count);
    const [step, nextLine] = tall ? [count * 4, 4] : [4, along.length * 4];
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < size; j++) {
        const from = i * nextLine + (first[j].start - along.start) * step;
        weigh(pixels, from, step, first[j].weights, narrowed, ((line + i) * size + j) * 3);
      }
    }
  }
  const square = new Uint8Array(size * size * 3);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      const from = ((second[i].start - across.start) * size + j) * 3;
      weigh(narrowed, from, size * 3, second[i].weights, square, (tall ? j * size + i : i * size + j) * 3);
    }
  }
  return square;
}

/** The input pixels that `weights` (see pillowWeights) reach. */
function span(weights) {
  const [start, last] = [weights[0].start, weights[weights.length - 1]];
  return { start, length: last.start + last.weights.length - start };
}

/** RGBA of a part of the image, with white where it is transparent. */
function readPixels(bitmap, left, top, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, left, top, width, height, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
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
