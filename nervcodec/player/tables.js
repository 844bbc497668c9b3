// @ts-check
/** Frequency tables of symbols (section 4.3 of nvpp-format.md). */

/**
 * @typedef {object} TableRecord
 * @property {number} first byte of the record, above 0
 * @property {number[]} tails positive and negative, of a geometric table
 * @property {number[]} masses a byte for each bucket, of a histogram
 */

const TOTAL = 2 ** 24;
const Q = [65536, 77936, 92682, 110218];
const E = [65536, 71468, 77936, 84990, 92682, 101070, 110218, 120194];
const NO_TAIL = 64;
const LOOKUP_SHIFT = 14;
const LOOKUP_SIZE = 2 ** (24 - LOOKUP_SHIFT);
const NEAR = 2 ** -20; // far above the rounding of a quotient below 2^24 of two float64

/** The frequencies of the symbols -M..M, ready for decoding. */
export class FrequencyTable {
  /** @param {Int32Array} frequencies of the symbols -M..M; their sum is 2^24 */
  constructor(frequencies) {
    const n = frequencies.length;
    this.least = -(n - 1) / 2;
    this.frequencies = frequencies;
    this.starts = new Int32Array(n + 1);
    for (let i = 0; i < n; i++) {
      this.starts[i + 1] = this.starts[i] + frequencies[i];
    }
    // lookup[b] is the symbol of b << LOOKUP_SHIFT, where the search begins.
    this.lookup = new Int16Array(LOOKUP_SIZE + 1).fill(n - 1);
    let i = 0;
    for (let b = 0; b < LOOKUP_SIZE; b++) {
      while (this.starts[i + 1] <= b << LOOKUP_SHIFT) {
        i++;
      }
      this.lookup[b] = i;
    }
  }

  /**
   * The index i of the symbol i - M with C(i - M) <= q < C(i - M) + F(i - M).
   * @param {number} q below 2^24
   * @returns {number}
   */
  indexOf(q) {
    const { starts, lookup } = this;
    const b = q >> LOOKUP_SHIFT;
    let low = lookup[b];
    let high = lookup[b + 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= q) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }
}

/**
 * How many buckets of magnitudes a histogram has.
 * @param {number} most M, the greatest magnitude
 * @returns {number}
 */
export function nBuckets(most) {
  return bucketEnds(most).length;
}

/**
 * The table of a record.
 * @param {TableRecord} record
 * @param {number} most M, the greatest magnitude
 * @returns {FrequencyTable}
 */
export function tableOf(record, most) {
  return new FrequencyTable(frequenciesOf(record, most));
}

/**
 * F(s) of the symbols s of -M..M.
 * @param {TableRecord} record
 * @param {number} most M
 * @returns {Int32Array}
 */
export function frequenciesOf(record, most) {
  const { first } = record;
  if (first < 128) {
    return geometric(first, record.tails, most);
  }
  if (first === 255) {
    return histogram(record.masses, most);
  }
  if (first < 192) {
    const t = first - 128;
    const tail = tailOf(t, most);
    return scaled(tail, tail, (1n << 47n) / BigInt(ratio(t)));
  }
  const { zero, tail } = normal(first - 191, most);
  return scaled(tail, tail, zero);
}

/**
 * @param {number} t
 * @returns {number}
 */
function ratio(t) {
  return 65536 - Math.floor(Q[(4 - (t % 4)) % 4] / 2 ** Math.ceil(t / 4));
}

/**
 * tail(t) of the magnitudes 1..M: integers up to 2^31.
 * @param {number} t
 * @param {number} most
 * @returns {number[]}
 */
function tailOf(t, most) {
  /** @type {number[]} */
  const weights = new Array(most).fill(0);
  if (t === NO_TAIL) {
    return weights;
  }
  const factor = ratio(t);
  let weight = 2 ** 31;
  for (let k = 0; k < most && weight > 0; k++) {
    weights[k] = weight;
    weight = Math.floor((weight * factor) / 65536);
  }
  return weights;
}

/**
 * @param {number} z first byte of the record
 * @param {number[]} tails
 * @param {number} most
 * @returns {Int32Array}
 */
function geometric(z, tails, most) {
  const positive = tailOf(tails[0], most);
  const negative = tailOf(tails[1], most);
  const sum = [...positive, ...negative].reduce((total, weight) => total + weight, 0);
  const zero = ((BigInt(sum) * BigInt(Q[z % 4])) << BigInt(Math.floor(z / 4))) >> 32n;
  return scaled(positive, negative, zero);
}

/**
 * @param {number} v
 * @param {number} most
 * @returns {{zero: bigint, tail: number[]}} weights, up to 2^32
 */
function normal(v, most) {
  let a = v % 2 === 0 ? 2147483648n : 2630870735n;
  for (let i = 0; i < Math.floor(v / 2); i++) {
    a = squareRoot(a << 32n);
  }
  const b = (a * a) >> 32n;
  /** @type {number[]} */
  const tail = new Array(most).fill(0);
  let weight = 1n << 32n;
  let r = a;
  for (let k = 0; k < most; k++) {
    weight = (weight * r) >> 32n;
    if (weight === 0n) {
      break;
    }
    tail[k] = Number(weight);
    r = (r * b) >> 32n;
  }
  return { zero: 1n << 32n, tail };
}

/**
 * The greatest integer whose square is at most a number below 2^64.
 * @param {bigint} square
 * @returns {bigint}
 */
function squareRoot(square) {
  let root = BigInt(Math.floor(Math.sqrt(Number(square))));
  while (root * root > square) {
    root--;
  }
  while ((root + 1n) * (root + 1n) <= square) {
    root++;
  }
  return root;
}

/**
 * Frequencies of weights.
 * @param {number[]} positive weights of 1..M, exact
 * @param {number[]} negative weights of -1..-M
 * @param {bigint} zero weight of 0
 * @returns {Int32Array}
 */
function scaled(positive, negative, zero) {
  const most = positive.length;
  const frequencies = new Int32Array(2 * most + 1);
  const sum = [...positive, ...negative].reduce((total, weight) => total + weight, 0);
  const whole = BigInt(sum) + zero;
  const free = TOTAL - frequencies.length;
  let taken = 0;
  const share = (/** @type {number} */ weight) => 1 + exactShare(free, weight, whole);
  for (let k = 1; k <= most; k++) {
    const above = share(positive[k - 1]);
    const below = positive === negative ? above : share(negative[k - 1]);
    frequencies[most + k] = above;
    frequencies[most - k] = below;
    taken += above + below;
  }
  frequencies[most] = TOTAL - taken;
  return frequencies;
}

/**
 * (free * weight) // whole. Float64 decides unless the quotient is close to an integer.
 * @param {number} free below 2^24
 * @param {number} weight an integer of at most 53 bits, at most whole
 * @param {bigint} whole
 * @returns {number}
 */
function exactShare(free, weight, whole) {
  if (weight === 0) {
    return 0;
  }
  const quotient = (free * weight) / Number(whole);
  const below = Math.floor(quotient);
  const fraction = quotient - below;
  return fraction > NEAR && fraction < 1 - NEAR
    ? below
    : Number((BigInt(free) * BigInt(weight)) / whole);
}

/**
 * The greatest magnitude of each bucket: 0 to 4, then each octave in two halves, cut at M.
 * @param {number} most
 * @returns {number[]}
 */
function bucketEnds(most) {
  const ends = [0, 1, 2, 3, 4];
  for (let octave = 4; octave < most; octave *= 2) {
    ends.push(octave + octave / 2, octave * 2);
  }
  const n = ends.findIndex((end) => end >= most) + 1;
  return ends.slice(0, n).map((end) => Math.min(end, most));
}

/**
 * @param {number[]} masses
 * @param {number} most
 * @returns {Int32Array}
 */
function histogram(masses, most) {
  const ends = bucketEnds(most);
  const weights = ends.map((end, i) => {
    const v = masses[i];
    const n = i === 0 ? 1 : 2 * (end - ends[i - 1]);
    const mass = v === 0 ? 0n : BigInt(E[(v - 1) % 8]) << BigInt(16 + Math.floor((v - 1) / 8));
    return { n, weight: mass / BigInt(n) };
  });
  const whole = weights.reduce((sum, { n, weight }) => sum + BigInt(n) * weight, 0n);
  const frequencies = new Int32Array(2 * most + 1);
  const free = BigInt(TOTAL - frequencies.length);
  let taken = 0;
  for (let i = 1; i < ends.length; i++) {
    const frequency = 1 + Number((free * weights[i].weight) / whole);
    frequencies.fill(frequency, most + ends[i - 1] + 1, most + ends[i] + 1);
    frequencies.fill(frequency, most - ends[i], most - ends[i - 1]);
    taken += weights[i].n * frequency;
  }
  frequencies[most] = TOTAL - taken;
  return frequencies;
}
