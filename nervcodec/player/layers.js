// @ts-check
/** The integer layers of a network (section 5.2 of nvpp-format.md). */

import { LIMIT, rounded } from './integers.js';
import { groupsOf } from './tensors.js';

/** @typedef {import('./model.js').Model} Model */

/**
 * @typedef {object} Layer
 * @property {number} outputs
 * @property {number} inputs channels that each output takes
 * @property {number} kernel 1 or 3
 * @property {Int32Array} weights [outputs, inputs, kernel, kernel]
 * @property {Int32Array} biases one for each output, 0 without a bias
 * @property {number} shift bits that rs drops, k; negative: that it adds
 *
 * @typedef {object} Scrb
 * @property {Layer} dw
 * @property {Layer} pw1
 * @property {Layer} pw2
 *
 * @typedef {object} Block
 * @property {number} stride
 * @property {Layer | null} pw
 * @property {Scrb | null} scrb1
 * @property {Layer} ub
 * @property {Scrb | null} scrb2
 * @property {boolean} skip
 *
 * @typedef {object} Network what an engine computes
 * @property {Model} model
 * @property {number} fractionBits
 * @property {Block[]} blocks
 * @property {Layer} head
 */

const HIGHEST_SHIFT = 12;
const LEAST_SHIFT = 8; // below it the wider bound counts
const FLOAT32_BOUND = 15 * 2 ** 20;
const BOUND = 2 ** 29;

/**
 * The layers of a segment's blocks and head.
 * @param {Model} model
 * @param {Map<string, Float64Array>} weights X by the names of tensors
 * @param {number} fractionBits
 * @returns {Network}
 */
export function networkOf(model, weights, fractionBits) {
  const shapes = new Map(
    groupsOf(model, [1])
      .flat()
      .flatMap((group) => group.tensors)
      .map(({ name, shape }) => [name, shape]),
  );
  const layer = (/** @type {string} */ name) =>
    layerOf(name, shapes.get(name) ?? [], weights, fractionBits);
  const optional = (/** @type {string} */ name) => (shapes.has(name) ? layer(name) : null);
  const scrb = (/** @type {string} */ name) =>
    shapes.has(`${name}.dw`)
      ? { dw: layer(`${name}.dw`), pw1: layer(`${name}.pw1`), pw2: layer(`${name}.pw2`) }
      : null;
  const blocks = model.blocks.map(({ stride }, i) => {
    const name = `block${i + 1}`;
    return {
      stride,
      pw: optional(`${name}.pw`),
      scrb1: scrb(`${name}.scrb1`),
      ub: layer(`${name}.ub`),
      scrb2: scrb(`${name}.scrb2`),
      skip: model.parts.skip,
    };
  });
  return { model, fractionBits, blocks, head: layer('head.conv') };
}

/**
 * A layer whose weights and biases are shifted so that its sums are bounded.
 * @param {string} name of the weight
 * @param {number[]} shape of the weight
 * @param {Map<string, Float64Array>} values X of weights and biases
 * @param {number} fractionBits
 * @returns {Layer}
 */
export function layerOf(name, shape, values, fractionBits) {
  const weights = values.get(name);
  if (weights === undefined) {
    throw new RangeError(`there is no tensor ${name}`);
  }
  const biases = values.get(`${name}.bias`) ?? new Float64Array(shape[0]);
  let shift = highestShift(weights, biases, fractionBits, HIGHEST_SHIFT, FLOAT32_BOUND);
  if (shift < LEAST_SHIFT || name.startsWith('head')) {
    shift = highestShift(weights, biases, fractionBits, HIGHEST_SHIFT, BOUND);
  }
  return {
    outputs: shape[0],
    inputs: shape[1],
    kernel: shape[2] ?? 1,
    weights: Int32Array.from(weights, (x) => rounded(x, 24 - shift)),
    biases: Int32Array.from(biases, (x) => rounded(x, 24 - fractionBits - shift)),
    shift,
  };
}

/**
 * The greatest k of which the bound on sums holds.
 * @param {Float64Array} weights X, [outputs, ..]
 * @param {Float64Array} biases X, [outputs]
 * @param {number} fractionBits
 * @param {number} highest k
 * @param {number} bound
 * @returns {number}
 */
function highestShift(weights, biases, fractionBits, highest, bound) {
  let shift = highest;
  while (!holds(weights, biases, fractionBits, shift, bound)) {
    shift--;
  }
  return shift;
}

/**
 * Whether |B[o]| + R * the sum of |W[o, ..]| is within the bound for all o.
 * @param {Float64Array} weights
 * @param {Float64Array} biases
 * @param {number} fractionBits
 * @param {number} shift
 * @param {number} bound
 * @returns {boolean}
 */
function holds(weights, biases, fractionBits, shift, bound) {
  const each = weights.length / biases.length;
  for (let o = 0; o < biases.length; o++) {
    let sum = 0;
    for (let i = o * each; i < (o + 1) * each; i++) {
      sum += Math.abs(rounded(weights[i], 24 - shift));
    }
    if (Math.abs(rounded(biases[o], 24 - fractionBits - shift)) + LIMIT * sum > bound) {
      return false;
    }
  }
  return true;
}

