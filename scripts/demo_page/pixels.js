// Image files to the pixels that the model takes, as classifier/data/images.py makes them with Pillow: to the last bit
// where decoding is exact. A canvas resizes otherwise, and the model would answer otherwise.

const MAX_PIXELS = 100_000_000;
const STRIP = 256; // rows or columns read at a time, so that a large photo needs little memory
const BITS = 22; // of fractions in Pillow's fixed-point weights
const GROUND = 128; // grey beside an image that is padded
const LONGEST = 16; // times as long as wide: of a longer image that is cropped, the ends are cut off before

// Pillow's filters: how far they reach, and what a pixel weighs that lies at a distance from their centre.
const FILTERS = {
  bilinear: { reach: 1, weight: (x) => Math.max(1 - x, 0) },
  bicubic: {
    reach: 2,
    weight(x) {
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
};

// For one of the image's sides: the `length` in its middle that is used, and the pixels to which that is `resized`.
const FITS = {
  crop(side, sides, size) {
    const short = Math.min(...sides);
    const length = Math.min(side, LONGEST * short);
    return { length, resized: Math.trunc((size * length) / short) };
  },
  pad(side, sides, size) {
    return { length: side, resized: Math.max(1, roundToEven(side * (size / Math.max(...sides)))) };
  },
  squash(side, sides, size) {
    return { length: side, resized: size };
  },
};

/** As Python's round(): halves go to the even neighbour. */
function roundToEven(x) {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

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

/** The square that prepare.py would store: RGB, row by row, size * size * 3 bytes. */
function fitToSquare(bitmap, { size, fit, interpolation }) {
  const sides = [bitmap.width, bitmap.height];
  const [columns, rows] = sides.map((side) => planSide(side, FITS[fit](side, sides, size), size, FILTERS[interpolation]));
  // Pillow 13 begins with the axis that shrinks far more; each pass rounds, so the order shows in the last bit.
  const tall = rows.shrinks > 2 * Math.max(columns.shrinks, 0);
  const [first, second] = tall ? [rows, columns] : [columns, rows];
  const [along, across] = [span(first.pixels), span(second.pixels)];
  const width = first.pixels.length;

  const narrowed = new Uint8Array(across.length * width * 3); // lines of the second axis, resized along the first
  for (let line = 0; line < across.length; line += STRIP) {
    const count = Math.min(STRIP, across.length - line);
    const pixels = tall
      ? readPixels(bitmap, across.start + line, along.start, count, along.length)
      : readPixels(bitmap, along.start, across.start + line, along.length, count);
    const [step, nextLine] = tall ? [count * 4, 4] : [4, along.length * 4];
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < width; j++) {
        const from = i * nextLine + (first.pixels[j].start - along.start) * step;
        weigh(pixels, from, step, first.pixels[j].weights, narrowed, ((line + i) * width + j) * 3);
      }
    }
  }
  const square = new Uint8Array(size * size * 3).fill(GROUND);
  for (let i = 0; i < second.pixels.length; i++) {
    for (let j = 0; j < width; j++) {
      const from = ((second.pixels[i].start - across.start) * width + j) * 3;
      const [x, y] = tall ? [i, j] : [j, i];
      const at = ((rows.margin + y) * size + columns.margin + x) * 3;
      weigh(narrowed, from, width * 3, second.pixels[i].weights, square, at);
    }
  }
  return square;
}

/** The centre of a square, which is all that a model for smaller images sees of it. */
function cutCentre(square, size, crop) {
  const start = roundToEven((size - crop) / 2);
  const centre = new Uint8Array(crop * crop * 3);
  for (let i = 0; i < crop; i++) {
    const from = ((start + i) * size + start) * 3;
    centre.set(square.subarray(from, from + crop * 3), i * crop * 3);
  }
  return centre;
}

/**
 * What becomes of a side of the image, the middle `length` of which is resized to `resized`: the `pixels` that are
 * kept of that, at most `size`, and the `margin` before them in the square.
 */
function planSide(side, { length, resized }, size, filter) {
  const kept = Math.min(resized, size);
  const weights = pillowWeights(length, resized, roundToEven((resized - kept) / 2), kept, filter);
  const cut = roundToEven((side - length) / 2);
  const pixels = weights.map(({ start, weights }) => ({ start: cut + start, weights }));
  return { pixels, margin: Math.floor((size - kept) / 2), shrinks: length - resized };
}

/** The part of the image's side that `pixels` are sums of. */
function span(pixels) {
  const [{ start }, last] = [pixels[0], pixels[pixels.length - 1]];
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
 * Pillow's precompute_coeffs and normalize_coeffs_8bpc: for `count` output pixels from `first` on, the first input
 * pixel and the weights from there on, as integers that add up to about 2 ** BITS.
 */
function pillowWeights(inputSize, outputSize, first, count, filter) {
  const scale = inputSize / outputSize;
  const shrink = Math.max(scale, 1); // the filter widens when it shrinks: antialiasing
  const support = filter.reach * shrink;
  return Array.from({ length: count }, (_, i) => {
    const center = (first + i + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), inputSize);
    const values = [];
    for (let x = start; x < end; x++) values.push(filter.weight(Math.abs((x - center + 0.5) * (1 / shrink))));
    const total = values.reduce((sum, value) => sum + value, 0);
    return { start, weights: Int32Array.from(values, (value) => roundFromZero((value / total) * 2 ** BITS)) };
  });
}

/** As C rounds in Pillow: halves go away from zero. */
function roundFromZero(x) {
  return Math.trunc(x < 0 ? x - 0.5 : x + 0.5);
}

/** One RGB pixel as a weighted sum of pixels that lie `step` bytes apart, rounded as Pillow rounds. */
function weigh(source, first, step, weights, target, at) {
  for (let channel = 0; channel < 3; channel++) {
    let sum = 1 << (BITS - 1);
    for (let i = 0; i < weights.length; i++) sum += source[first + i * step + channel] * weights[i];
    target[at + channel] = Math.max(0, Math.min(sum >> BITS, 255));
  }
}
