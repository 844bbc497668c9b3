// @ts-check
/** From the streams of a segment to its parameters (section 4 of nvpp-format.md). */

import { decodeAll, decodeClasses } from './contexts.js';
import { NvppError, invalidField } from './errors.js';
import { LIMIT } from './integers.js';
import { addPrior } from './prior.js';
import { RangeDecoder } from './range_decoder.js';
import { nBuckets, tableOf } from './tables.js';
import { groupsOf, sizeOf } from './tensors.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./model.js').Group} Group */
/** @typedef {import('./tables.js').FrequencyTable} FrequencyTable */

/**
 * @typedef {object} Records of a group
 * @property {(FrequencyTable | null)[]} tables null where all symbols are 0
 * @property {number | null} step byte of the quantization step
 *
 * @typedef {object} Parameters of a segment
 * @property {Map<string, Float64Array>} weights X of weights and biases (section 5.1), exact
 * @property {Map<string, Int16Array | Int32Array>} keyed values of grids and details, in units of
 *   2^-fraction_bits and clipped (section 5.5), and of motion and offset, in 2^-12 (section 5.7)
 */

const MAX_TAIL = 64;
const MAX_CLASSES = 6;
const MOTION_SHIFT = 12;
const MOTION_LIMIT = 2 ** 24;

/**
 * Decode the parameters of a segment.
 * @param {Model} model
 * @param {import('./container.js').Segment} segment
 * @param {Uint8Array | null} prior bytes of the prior, if the network has one
 * @returns {Parameters}
 * @throws {NvppError}
 */
export function decodeParameters(model, segment, prior = null) {
  /** @type {Parameters} */
  const parameters = { weights: new Map(), keyed: new Map() };
  groupsOf(model, segment.shots).forEach((groups, i) => {
    const stream = new StreamReader(segment.streams[i]);
    for (const { group, symbols, step } of decodeStream(stream, groups, model.bits)) {
      if (group.keyed) {
        const [{ name }] = group.tensors;
        parameters.keyed.set(name, keyedValues(group, symbols, step, segment.fractionBits));
      } else {
        addWeights(parameters.weights, group, symbols, step);
      }
    }
  });
  if (model.prior !== 0) {
    if (prior === null) {
      throw new NvppError('UnknownPrior', `the weights of prior ${model.prior} were not given`);
    }
    addPrior(parameters.weights, model, prior);
  }
  return parameters;
}

/** The records of a stream, byte by byte. */
class StreamReader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.position = 0;
  }

  /**
   * @param {string} where a stream may end too early
   * @returns {number}
   */
  byte(where = 'inside a record') {
    if (this.position >= this.bytes.length) {
      throw new NvppError('Truncated', `a stream of ${this.bytes.length} bytes ends ${where}`);
    }
    return this.bytes[this.position++];
  }
}

/**
 * @param {StreamReader} stream
 * @param {Group[]} groups of the module
 * @param {number} bits of symbols
 * @returns {{group: Group, symbols: Int16Array, step: number | null}[]}
 */
function decodeStream(stream, groups, bits) {
  const most = 2 ** (bits - 1) - 1;
  const records = groups.map((group) => readRecords(stream, group, most));
  const decoder = new RangeDecoder(stream.bytes.subarray(stream.position));
  /** @type {import('./contexts.js').Coded | null} */
  let before = null;
  const decoded = groups.map((group, i) => {
    const { tables, step } = records[i];
    const symbols = new Int16Array(group.tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0));
    if (group.hasClasses) {
      const [, channels, rows, columns] = group.tensors[0].shape;
      const coded = { symbols, channels, rows, columns };
      decodeClasses(coded, group.keys, tables, group.follows ? before : null, decoder);
      before = coded;
    } else {
      decodeAll(symbols, tables[0], decoder);
      const [, channels = 1, rows = 1, columns = 1] = group.tensors[0]?.shape ?? [];
      before = { symbols, channels, rows, columns };
    }
    return { group, symbols, step };
  });
  decoder.checkEnd();
  return decoded;
}

/**
 * @param {StreamReader} stream
 * @param {Group} group
 * @param {number} most M, the greatest magnitude of a symbol
 * @returns {Records}
 */
function readRecords(stream, group, most) {
  let n = 1;
  if (group.hasClasses) {
    const classes = stream.byte("before a grid's records");
    if (classes < 1 || classes > MAX_CLASSES) {
      throw invalidField('number of classes', classes, `1 to ${MAX_CLASSES}`);
    }
    n = group.follows ? classes : 1 + classes;
  }
  /** @type {Records} */
  const records = { tables: [], step: null };
  for (let i = 0; i < n; i++) {
    const first = stream.byte();
    if (first === 0) {
      records.tables.push(null);
      continue;
    }
    records.step ??= stream.byte();
    records.tables.push(readTable(stream, first, most));
  }
  return records;
}

/**
 * @param {StreamReader} stream behind the step
 * @param {number} first byte of the record
 * @param {number} most
 * @returns {FrequencyTable}
 */
function readTable(stream, first, most) {
  /** @type {number[]} */
  let tails = [];
  /** @type {number[]} */
  let masses = [];
  if (first < 128) {
    tails = [stream.byte(), stream.byte()];
    if (Math.max(...tails) > MAX_TAIL || Math.min(...tails) === MAX_TAIL) {
      throw invalidField('tails', `(${tails.join(', ')})`, '0 to 64, at most one of them 64');
    }
  } else if (first === 255) {
    masses = Array.from({ length: nBuckets(most) }, () => stream.byte());
    if (masses.every((mass) => mass === 0)) {
      throw invalidField('histogram', "'all zero'", 'at least one bucket above 0');
    }
  } else if (first === 128 || first > 239) {
    throw invalidField('kind of record', first, '0 to 127, 129 to 239, or 255');
  }
  return tableOf({ first, tails, masses }, most);
}

/**
 * X of one quantization step: a parameter is a multiple of it.
 * @param {number | null} step byte, null if all parameters are 0
 * @returns {number}
 */
function stepTimes2To24(step) {
  return step === null ? 0 : (8 + (step % 8)) * 2 ** (Math.floor(step / 8) + 1);
}

/**
 * @param {Map<string, Float64Array>} weights to which the group's tensors are added
 * @param {Group} group
 * @param {Int16Array} symbols
 * @param {number | null} step
 */
function addWeights(weights, group, symbols, step) {
  const unit = stepTimes2To24(step);
  let at = 0;
  for (const { name, shape } of group.tensors) {
    const size = sizeOf(shape);
    weights.set(name, Float64Array.from(symbols.subarray(at, at + size), (symbol) => symbol * unit));
    at += size;
  }
}

/**
 * Values of a keyed group, whose multiples are sums over the keys of a shot.
 * @param {Group} group
 * @param {Int16Array} symbols
 * @param {number | null} step
 * @param {number} fractionBits
 * @returns {Int16Array | Int32Array} of the group's shape
 */
function keyedValues(group, symbols, step, fractionBits) {
  const [{ name }] = group.tensors;
  const isMotion = name === 'motion' || name === 'offset';
  const values = isMotion ? new Int32Array(symbols.length) : new Int16Array(symbols.length);
  // An integer below 16 times a power of two, so that products with sums are exact.
  const unit = stepTimes2To24(step) / 2 ** (isMotion ? MOTION_SHIFT : 24 - fractionBits);
  const limit = isMotion ? MOTION_LIMIT : LIMIT;
  const sums = new Float64Array(sizeOf(group.tensors[0].shape.slice(1)));
  let at = 0;
  for (const nKeys of group.keys) {
    sums.fill(0);
    for (let k = 0; k < nKeys; k++) {
      for (let i = 0; i < sums.length; i++, at++) {
        sums[i] += symbols[at];
        const value = Math.floor(sums[i] * unit + 0.5);
        values[at] = value > limit ? limit : value < -limit ? -limit : value;
      }
    }
  }
  return values;
}
