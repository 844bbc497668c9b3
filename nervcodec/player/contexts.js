// @ts-check
/** Symbols of a group with classes, in scan order (section 4.4 of nvpp-format.md). */

import { NvppError } from './errors.js';

/** @typedef {import('./tables.js').FrequencyTable} FrequencyTable */
/** @typedef {import('./range_decoder.js').RangeDecoder} RangeDecoder */

/**
 * @typedef {object} Coded symbols of a keyed group
 * @property {Int16Array} symbols [keys, channels, rows, columns]
 * @property {number} channels
 * @property {number} rows
 * @property {number} columns
 */

const THRESHOLDS = [
  [],
  [6],
  [2, 8],
  [1, 4, 10],
  [1, 3, 7, 16],
  [1, 3, 6, 12, 24],
];

/**
 * Decode the symbols of a group with classes.
 * @param {Coded} group whose symbols are 0 so far
 * @param {number[]} keys of each shot
 * @param {(FrequencyTable | null)[]} tables of the records; null codes zeros
 * @param {Coded | null} followed the group that it follows
 * @param {RangeDecoder} decoder
 * @throws {NvppError} BitstreamError
 */
export function decodeClasses(group, keys, tables, followed, decoder) {
  const size = group.channels * group.rows * group.columns;
  const first = followed === null ? tables[0] : null;
  const classTables = followed === null ? tables.slice(1) : tables;
  const seen = new Array(classTables.length).fill(false);
  const classes = new Uint8Array(size);
  const activity = new Int32Array(size);
  let key = 0;
  for (const nKeys of keys) {
    for (let k = 0; k < nKeys; k++, key++) {
      const symbols = group.symbols.subarray(key * size, (key + 1) * size);
      if (k === 0 && followed === null) {
        decodeAll(symbols, first, decoder);
        continue;
      }
      activity.fill(0);
      if (followed !== null) {
        addFollowed(activity, group, followed, key);
      }
      if (k > 0) {
        addAround(activity, group, key - 1);
      }
      classify(activity, classes, THRESHOLDS[classTables.length - 1], seen);
      decodeByClass(symbols, classes, classTables, decoder);
    }
  }
  if (classTables.some((table, i) => table !== null && !seen[i])) {
    throw new NvppError('BitstreamError', 'a class without symbols has a table');
  }
}

/**
 * Decode symbols by one table, in row-major order.
 * @param {Int16Array} symbols zeros so far
 * @param {FrequencyTable | null} table
 * @param {RangeDecoder} decoder
 */
export function decodeAll(symbols, table, decoder) {
  if (table === null) {
    return;
  }
  for (let i = 0; i < symbols.length; i++) {
    symbols[i] = decoder.decode(table);
  }
}

/**
 * @param {Int16Array} symbols zeros so far
 * @param {Uint8Array} classes
 * @param {(FrequencyTable | null)[]} tables
 * @param {RangeDecoder} decoder
 */
function decodeByClass(symbols, classes, tables, decoder) {
  tables.forEach((table, own) => {
    if (table === null) {
      return;
    }
    for (let i = 0; i < symbols.length; i++) {
      if (classes[i] === own) {
        symbols[i] = decoder.decode(table);
      }
    }
  });
}

/**
 * @param {Int32Array} activity
 * @param {Uint8Array} classes
 * @param {number[]} thresholds
 * @param {boolean[]} seen
 */
function classify(activity, classes, thresholds, seen) {
  for (let i = 0; i < activity.length; i++) {
    let own = 0;
    while (own < thresholds.length && thresholds[own] <= activity[i]) {
      own++;
    }
    classes[i] = own;
    seen[own] = true;
  }
}

/**
 * activity += around(group, key, ..).
 * @param {Int32Array} activity [channels, rows, columns]
 * @param {Coded} group
 * @param {number} key
 */
function addAround(activity, group, key) {
  const { symbols, channels, rows, columns } = group;
  const size = channels * rows * columns;
  const sums = new Int32Array(size);
  for (let i = 0, at = key * size; i < size; i++, at++) {
    const x = i % columns;
    const own = Math.abs(symbols[at]);
    activity[i] += own;
    sums[i] =
      own +
      (x > 0 ? Math.abs(symbols[at - 1]) : 0) +
      (x + 1 < columns ? Math.abs(symbols[at + 1]) : 0);
  }
  for (let row = 0; row < channels * rows; row++) {
    const y = row % rows;
    for (let i = row * columns; i < (row + 1) * columns; i++) {
      activity[i] +=
        sums[i] + (y > 0 ? sums[i - columns] : 0) + (y + 1 < rows ? sums[i + columns] : 0);
    }
  }
}

/**
 * activity += around(followed, key, c, y // 2, x // 2).
 * @param {Int32Array} activity
 * @param {Coded} group of twice the rows and columns, or one less
 * @param {Coded} followed
 * @param {number} key
 */
function addFollowed(activity, group, followed, key) {
  const around = new Int32Array(followed.channels * followed.rows * followed.columns);
  addAround(around, followed, key);
  let i = 0;
  for (let channel = 0; channel < group.channels; channel++) {
    for (let y = 0; y < group.rows; y++) {
      const row = (channel * followed.rows + (y >> 1)) * followed.columns;
      for (let x = 0; x < group.columns; x++, i++) {
        activity[i] += around[row + (x >> 1)];
      }
    }
  }
}
