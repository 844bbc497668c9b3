// @ts-check
/**
 * Pictures of twice the size. The network makes a frame four times more, each moved by a quarter of
 * a sample in another direction. These samples stand side by side, are smoothed, and corrected by
 * what their means lack to the frame itself. It is an extrapolation, and no part of the format.
 */

import { planeSize } from './model.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./network.js').Frame} Frame */
/** @typedef {Uint8Array | Uint16Array} Plane */

/**
 * The frame of twice as many rows and columns.
 * @param {Frame} frame
 * @param {Frame[]} four moved up left, up right, down left, down right
 * @param {Model} model
 * @returns {Frame}
 */
export function doubled(frame, four, model) {
  const large = { ...model, width: 2 * model.width, height: 2 * model.height };
  const sizes = frame.planes.map((_, index) => planeSize(large, index));
  const planes = frame.planes.map((plane, index) => {
    const moved = four.map((each) => each.planes[index]);
    return doubledPlane(plane, moved, frame.widths[index], sizes[index], 2 ** model.depth - 1);
  });
  const widths = sizes.map(([, width]) => width);
  return { planes, widths, heights: sizes.map(([height]) => height) };
}

/**
 * @param {Plane} plane [rows, columns]
 * @param {Plane[]} moved four of them
 * @param {number} columns
 * @param {[height: number, width: number]} size of the result, up to twice that of the plane
 * @param {number} peak of a sample
 * @returns {Plane} [height, width]
 */
function doubledPlane(plane, moved, columns, [height, width], peak) {
  const rows = plane.length / columns;
  const wide = 2 * columns;
  const at = (/** @type {number} */ y, /** @type {number} */ x) => (y >> 1) * columns + (x >> 1);
  const smooth = smoothed(2 * rows, wide, (y, x) => moved[2 * (y & 1) + (x & 1)][at(y, x)]);
  const lack = Int32Array.from(plane, (sample, i) => {
    const corner = 2 * Math.floor(i / columns) * wide + 2 * (i % columns);
    const below = corner + wide;
    return 64 * sample - smooth[corner] - smooth[corner + 1] - smooth[below] - smooth[below + 1];
  });
  const correction = smoothed(2 * rows, wide, (y, x) => lack[at(y, x)]);
  const length = height * width;
  const made = plane instanceof Uint8Array ? new Uint8Array(length) : new Uint16Array(length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let from = y * wide; to < (y + 1) * width; from++, to++) {
      const sample = (64 * smooth[from] + correction[from] + 512) >> 10;
      made[to] = Math.min(Math.max(sample, 0), peak);
    }
  }
  return made;
}

/**
 * 16 times the values, each smoothed over its neighbours by 1 2 1 in both directions.
 * @param {number} rows
 * @param {number} columns
 * @param {(y: number, x: number) => number} value
 * @returns {Int32Array} [rows, columns]
 */
function smoothed(rows, columns, value) {
  const across = new Int32Array(rows * columns);
  for (let y = 0, i = 0; y < rows; y++) {
    let left = value(y, 0);
    let middle = left;
    for (let x = 1; x <= columns; x++, i++) {
      const right = x < columns ? value(y, x) : middle;
      across[i] = left + 2 * middle + right;
      left = middle;
      middle = right;
    }
  }
  const both = new Int32Array(across.length);
  const last = across.length - columns;
  for (let i = 0; i < across.length; i++) {
    const above = across[i < columns ? i : i - columns];
    both[i] = above + 2 * across[i] + across[i < last ? i + columns : i];
  }
  return both;
}
