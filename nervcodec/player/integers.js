// @ts-check
/** Integer arithmetic of decoding and its tables (sections 5.1 and 5.2 of nvpp-format.md). */

/** R: the values of feature maps lie within +-LIMIT. */
export const LIMIT = 8191;

/**
 * rs(value, n): shifted right by n bits and rounded. Exact for integers of up to 53 bits.
 * @param {number} value
 * @param {number} n
 * @returns {number}
 */
export function rounded(value, n) {
  return n > 0 ? Math.floor(value / 2 ** n + 0.5) : value * 2 ** -n;
}

/**
 * min(max(value, -R), R).
 * @param {number} value
 * @returns {number}
 */
export function clip(value) {
  return value > LIMIT ? LIMIT : value < -LIMIT ? -LIMIT : value;
}

/** @type {Map<string, Int16Array>} */
const ACTIVATIONS = new Map();

/**
 * gelu or silu of -R..R; value v stands at v + R.
 * @param {'gelu' | 'silu'} name
 * @param {number} fractionBits
 * @returns {Int16Array}
 */
export function activation(name, fractionBits) {
  const key = `${name}${fractionBits}`;
  let table = ACTIVATIONS.get(key);
  if (table === undefined) {
    const unit = 2 ** fractionBits;
    const real = name === 'gelu' ? gelu : silu;
    table = Int16Array.from({ length: 2 * LIMIT + 1 }, (_, i) =>
      Math.floor(unit * real((i - LIMIT) / unit) + 0.5),
    );
    ACTIVATIONS.set(key, table);
  }
  return table;
}

/** @type {Map<number, Uint8Array | Uint16Array>} */
const SAMPLES = new Map();

/**
 * How many bits of fraction the index of a table of samples has.
 * @param {number} depth bits of a sample
 * @returns {number} F
 */
export function sampleFractionBits(depth) {
  return depth + 3;
}

/**
 * sample(v) of -8 * 2^F..8 * 2^F; value v stands at v + 8 * 2^F.
 * @param {number} depth bits of a sample
 * @returns {Uint8Array | Uint16Array}
 */
export function sampleTable(depth) {
  let table = SAMPLES.get(depth);
  if (table === undefined) {
    const unit = 2 ** sampleFractionBits(depth);
    const peak = 2 ** depth - 1;
    const length = 16 * unit + 1;
    table = depth === 8 ? new Uint8Array(length) : new Uint16Array(length);
    for (let i = 0; i < length; i++) {
      table[i] = Math.floor((peak * (Math.tanh(i / unit - 8) + 1)) / 2 + 0.5);
    }
    SAMPLES.set(depth, table);
  }
  return table;
}

/**
 * @param {number} u
 * @returns {number}
 */
function silu(u) {
  return u / (1 + Math.exp(-u));
}

/**
 * @param {number} u
 * @returns {number}
 */
function gelu(u) {
  const above = u < 0 ? 1 - normalDistribution(-u) : normalDistribution(u);
  return u * above;
}

/**
 * Phi(u) by its series u + u^3 / 3 + u^5 / 15 + .., all of whose terms are positive.
 * @param {number} u at least 0
 * @returns {number} with an error below 1e-15
 */
function normalDistribution(u) {
  if (u > 9) {
    return 1;
  }
  let term = u;
  let sum = u;
  for (let n = 3; term > sum * 1e-17; n += 2) {
    term *= (u * u) / n;
    sum += term;
  }
  return 0.5 + (sum * Math.exp((-u * u) / 2)) / Math.sqrt(2 * Math.PI);
}

/**
 * @typedef {object} Places where a row or column of a larger map lies between those of a smaller
 * @property {Int32Array} from the one before
 * @property {Int32Array} to the one behind, the same beyond the edge
 * @property {Int32Array} part of the one behind, in 256ths
 */

/**
 * The places of resized(x, ..) in rows or in columns.
 * @param {number} n of x
 * @param {number} size of what it is resized to
 * @returns {Places}
 */
export function places(n, size) {
  const from = new Int32Array(size);
  const to = new Int32Array(size);
  const part = new Int32Array(size);
  for (let i = 0; i < size; i++) {
    const p = Math.max((2 * i + 1) * n - size, 0);
    from[i] = Math.floor(p / (2 * size));
    to[i] = Math.min(from[i] + 1, n - 1);
    part[i] = Math.floor((256 * (p % (2 * size)) + size) / (2 * size));
  }
  return { from, to, part };
}
