// @ts-check
/** Wavelets of grids (section 5.6 of nvpp-format.md). */

import { clip } from './integers.js';

/**
 * One level more of a key.
 * @param {Int16Array} coarse P, [channels, rows, columns]
 * @param {Int16Array} details [3 channels, rows, columns]: U, Y and Z
 * @param {number} channels
 * @param {[number, number]} size rows and columns of coarse
 * @param {[number, number]} finer rows and columns of the result
 * @returns {Int16Array} [channels, ..finer]
 */
export function unite(coarse, details, channels, size, finer) {
  const [rows, columns] = size;
  const [height, width] = finer;
  const cells = rows * columns;
  const result = new Int16Array(channels * height * width);
  const half = (/** @type {number} */ sum) => clip((sum + 1) >> 1);
  for (let i = 0; i < channels * cells; i++) {
    const channel = Math.floor(i / cells);
    const y = Math.floor((i % cells) / columns);
    const x = i % columns;
    const p = coarse[i];
    const u = details[i];
    const v = details[i + channels * cells];
    const z = details[i + 2 * channels * cells];
    const at = (channel * height + 2 * y) * width + 2 * x;
    const hasRight = 2 * x + 1 < width;
    result[at] = half(p + u + v + z);
    if (hasRight) {
      result[at + 1] = half(p - u + v - z);
    }
    if (2 * y + 1 < height) {
      result[at + width] = half(p + u - v - z);
      if (hasRight) {
        result[at + width + 1] = half(p - u - v + z);
      }
    }
  }
  return result;
}
