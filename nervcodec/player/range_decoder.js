// @ts-check
/** The range decoder and the check of a stream's end (sections 4.5 and 4.6 of nvpp-format.md). */

import { NvppError } from './errors.js';

/** @typedef {import('./tables.js').FrequencyTable} FrequencyTable */

const WORD = 2 ** 32;
const TOTAL = 2 ** 24;
const NEAR = 2 ** -20; // far above the rounding of a quotient below 2^25 of two float64
const START_BYTES = 8;

/**
 * Decodes symbols. In place of `point` and `low` it keeps their difference, and each number of 64
 * bits as two of 32.
 */
export class RangeDecoder {
  /** @param {Uint8Array} bytes of the range coder */
  constructor(bytes) {
    this.bytes = bytes;
    this.position = 0;
    this.rangeHigh = WORD - 1;
    this.rangeLow = WORD - 1;
    this.offsetHigh = this.nextWord();
    this.offsetLow = this.nextWord();
  }

  /**
   * @param {FrequencyTable} table
   * @returns {number} the next symbol
   * @throws {NvppError} BitstreamError
   */
  decode(table) {
    const scale = this.rangeHigh * 256 + (this.rangeLow >>> 24); // 40 bits
    const q = this.quotient(scale);
    if (q >= TOTAL) {
      throw new NvppError(
        'BitstreamError',
        'the range decoder met an impossible state: the offset lies outside of the range',
      );
    }
    const index = table.indexOf(q);
    const scaleHigh = Math.floor(scale / 65536);
    const scaleLow = scale % 65536;
    this.subtract(table.starts[index], scaleHigh, scaleLow);
    this.narrow(table.frequencies[index], scaleHigh, scaleLow);
    return index + table.least;
  }

  /**
   * offset // scale. Float64 decides unless the quotient is close to an integer.
   * @param {number} scale at least 2^8
   * @returns {number}
   */
  quotient(scale) {
    const quotient = (this.offsetHigh * WORD + this.offsetLow) / scale;
    const below = Math.floor(quotient);
    const fraction = quotient - below;
    if ((fraction > NEAR && fraction < 1 - NEAR) || quotient > 2 * TOTAL) {
      return below;
    }
    const offset = (BigInt(this.offsetHigh) << 32n) + BigInt(this.offsetLow);
    return Number(offset / BigInt(scale));
  }

  /**
   * offset -= start * scale.
   * @param {number} start below 2^24
   * @param {number} scaleHigh 24 bits of scale
   * @param {number} scaleLow 16 bits of scale
   */
  subtract(start, scaleHigh, scaleLow) {
    const upper = start * scaleHigh;
    const lower = (upper % 65536) * 65536 + start * scaleLow;
    const carry = Math.floor(lower / WORD);
    let low = this.offsetLow - (lower - carry * WORD);
    let high = this.offsetHigh - Math.floor(upper / 65536) - carry;
    if (low < 0) {
      low += WORD;
      high--;
    }
    this.offsetLow = low;
    this.offsetHigh = high;
  }

  /**
   * range = frequency * scale, and a word more of the bytes if that is below 2^32.
   * @param {number} frequency at most 2^24
   * @param {number} scaleHigh
   * @param {number} scaleLow
   */
  narrow(frequency, scaleHigh, scaleLow) {
    const upper = frequency * scaleHigh;
    const lower = (upper % 65536) * 65536 + frequency * scaleLow;
    const carry = Math.floor(lower / WORD);
    this.rangeLow = lower - carry * WORD;
    this.rangeHigh = Math.floor(upper / 65536) + carry;
    if (this.rangeHigh === 0) {
      this.rangeHigh = this.rangeLow;
      this.rangeLow = 0;
      this.offsetHigh = this.offsetLow;
      this.offsetLow = this.nextWord();
    }
  }

  /**
   * The next four bytes, highest first, 0 beyond the end.
   * @returns {number}
   */
  nextWord() {
    const { bytes, position } = this;
    this.position += 4;
    const at = (/** @type {number} */ i) => (i < bytes.length ? bytes[i] : 0);
    return (
      at(position) * 16777216 +
      ((at(position + 1) << 16) | (at(position + 2) << 8) | at(position + 3))
    );
  }

  /**
   * Refuse bytes that are not the shortest, and of these the lowest, of the last interval.
   * @throws {NvppError} BitstreamError
   */
  checkEnd() {
    const nBytes = Math.max(this.position, START_BYTES);
    const { bytes } = this;
    const wanted = bytes.length > nBytes ? null : shortest(this.lowest(nBytes), this.range());
    if (
      wanted === null ||
      wanted.length !== bytes.length ||
      wanted.some((byte, i) => byte !== bytes[i])
    ) {
      throw new NvppError('BitstreamError', "a stream's bytes are not those of its symbols");
    }
  }

  /**
   * N of section 4.6, the lowest number of the interval.
   * @param {number} nBytes
   * @returns {Uint8Array} highest byte first
   */
  lowest(nBytes) {
    const number = new Uint8Array(nBytes);
    number.set(this.bytes);
    add(number, negated(wordsToBytes(this.offsetHigh, this.offsetLow)), 255);
    return number;
  }

  /** @returns {Uint8Array} the range as eight bytes, highest first */
  range() {
    return wordsToBytes(this.rangeHigh, this.rangeLow);
  }
}

/**
 * @param {number} high
 * @param {number} low
 * @returns {Uint8Array} eight bytes, highest first
 */
function wordsToBytes(high, low) {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, high);
  view.setUint32(4, low);
  return new Uint8Array(view.buffer);
}

/**
 * 2^64 - number.
 * @param {Uint8Array} number eight bytes
 * @returns {Uint8Array}
 */
function negated(number) {
  const result = number.map((byte) => 255 - byte);
  add(result, Uint8Array.of(1), 0);
  return result;
}

/**
 * number += summand, both highest byte first.
 * @param {Uint8Array} number
 * @param {Uint8Array} summand at most as long
 * @param {number} fill of the summand's upper bytes: 255 for a negative one
 */
function add(number, summand, fill) {
  const shift = number.length - summand.length;
  let carry = 0;
  for (let i = number.length - 1; i >= 0; i--) {
    const sum = number[i] + (i < shift ? fill : summand[i - shift]) + carry;
    number[i] = sum & 255;
    carry = sum >> 8;
  }
}

/**
 * shortest(N, range) of section 4.6, by the first bit in which N - 1 and N + range - 1 differ.
 * @param {Uint8Array} lowest N
 * @param {Uint8Array} range eight bytes, at least 1
 * @returns {Uint8Array}
 */
function shortest(lowest, range) {
  if (lowest.every((byte) => byte === 0)) {
    return new Uint8Array(0);
  }
  const before = lowest.slice();
  add(before, new Uint8Array(8).fill(255), 255);
  const last = before.slice();
  add(last, range, 0);
  const first = before.findIndex((byte, i) => byte !== last[i]);
  const result = lowest.slice(0, first + 1);
  if (lowest.subarray(first + 1).some((byte) => byte !== 0)) {
    add(result, Uint8Array.of(1), 0);
  }
  return result;
}
