// @ts-check
/** The tensors of a segment in coded order, and their groups (sections 3.1 to 3.3). */

import { channelsBehind, nPhases, strideOf } from './model.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./model.js').Group} Group */
/** @typedef {import('./model.js').Tensor} Tensor */

/**
 * The number of values of a shape.
 * @param {number[]} shape
 * @returns {number}
 */
export function sizeOf(shape) {
  return shape.reduce((product, length) => product * length, 1);
}

/**
 * Keys of a grid in each shot.
 * @param {number} interval frames for each key
 * @param {number[]} shots frames of each shot
 * @returns {number[]}
 */
export function keysOf(interval, shots) {
  return shots.map((frames) => Math.ceil(frames / interval));
}

/**
 * Rows and columns of a grid at its levels of wavelets: [R_0, C_0], [R_1, C_1], .. [R_L, C_L].
 * @param {Model} model
 * @param {number} level of the grid
 * @returns {[number, number][]}
 */
export function gridSizes(model, level) {
  const stride = strideOf(model, level);
  /** @type {[number, number][]} */
  const sizes = [[model.stemHeight * stride, model.stemWidth * stride]];
  for (let j = 0; j < (level > 0 ? model.waveletLevels : 0); j++) {
    sizes.push([Math.ceil(sizes[j][0] / 2), Math.ceil(sizes[j][1] / 2)]);
  }
  return sizes;
}

/**
 * The groups of each module, in the order stem, block1, .., head.
 * @param {Model} model
 * @param {number[]} shots frames of each shot of the segment
 * @returns {Group[][]}
 */
export function groupsOf(model, shots) {
  const modules = [model.stem === 'mlp' ? mlpStem(model) : gridStem(model, shots)];
  for (let i = 1; i <= model.blocks.length; i++) {
    modules.push(withBiases(blockWeights(model, i), model.lean));
  }
  const planes = nPhases(model.colorspace);
  const given = channelsBehind(model, model.blocks.length);
  modules.push(withBiases([tensor('head.conv', planes, given, 3, 3)], model.lean));
  return modules;
}

/**
 * @param {string} name
 * @param {number[]} shape
 * @returns {Tensor}
 */
function tensor(name, ...shape) {
  return { name, shape };
}

/**
 * @param {Model} model
 * @returns {Group[]}
 */
function mlpStem(model) {
  const given = model.stemChannels * model.stemHeight * model.stemWidth;
  return withBiases(
    [
      tensor('stem.linear1', model.stemHidden, 80),
      tensor('stem.linear2', given, model.stemHidden),
    ],
    model.lean,
  );
}

/**
 * @param {Model} model
 * @param {number[]} shots
 * @returns {Group[]}
 */
function gridStem(model, shots) {
  /** @type {Group[]} */
  const groups = [];
  if (model.motionHeight > 0) {
    for (const name of ['motion', 'offset']) {
      groups.push(keyed(name, [2, model.motionHeight, model.motionWidth], shots, false));
    }
  }
  model.grids.forEach((grid, index) => {
    const keys = keysOf(grid.interval, shots);
    const name = `grid${index + 1}`;
    const sizes = gridSizes(model, grid.level);
    const coarsest = sizes.length - 1;
    groups.push(keyed(name, [grid.channels, ...sizes[coarsest]], keys, false));
    for (let j = coarsest; j >= 1; j--) {
      const shape = [3 * grid.channels, ...sizes[j]];
      groups.push(keyed(`${name}.details${j}`, shape, keys, j < coarsest));
    }
  });
  return groups;
}

/**
 * @param {string} name
 * @param {number[]} shape of one key
 * @param {number[]} keys of each shot
 * @param {boolean} follows
 * @returns {Group}
 */
function keyed(name, shape, keys, follows) {
  const total = keys.reduce((sum, n) => sum + n, 0);
  return {
    tensors: [tensor(name, total, ...shape)],
    keyed: true,
    keys,
    follows,
    hasClasses: follows || keys.some((n) => n > 1),
  };
}

/**
 * @param {Model} model
 * @param {number} i number of the block, from 1
 * @returns {Tensor[]}
 */
function blockWeights(model, i) {
  const { stride, width } = model.blocks[i - 1];
  const { pw, scrb1, scrb2 } = model.parts;
  const given = channelsBehind(model, i - 1);
  const inner = pw ? width : given;
  const name = `block${i}`;
  return [
    ...(pw ? [tensor(`${name}.pw`, width, given, 1, 1)] : []),
    ...(scrb1 ? scrb(`${name}.scrb1`, inner) : []),
    tensor(`${name}.ub`, width * stride ** 2, inner, 3, 3),
    ...(scrb2 ? scrb(`${name}.scrb2`, width) : []),
  ];
}

/**
 * @param {string} name
 * @param {number} channels
 * @returns {Tensor[]}
 */
function scrb(name, channels) {
  return [
    tensor(`${name}.dw`, channels, 1, 3, 3),
    tensor(`${name}.pw1`, channels, channels, 1, 1),
    tensor(`${name}.pw2`, channels, channels, 1, 1),
  ];
}

/**
 * A group for each weight and one for all biases.
 * @param {Tensor[]} weights
 * @param {boolean} lean whether dw and pw2 have no biases
 * @returns {Group[]}
 */
function withBiases(weights, lean) {
  const biased = weights.filter(({ name }) => !lean || !/\.(dw|pw2)$/.test(name));
  const biases = biased.map(({ name, shape }) => tensor(`${name}.bias`, shape[0]));
  return [...weights.map((weight) => [weight]), biases].map((tensors) => ({
    tensors,
    keyed: false,
    keys: [],
    follows: false,
    hasClasses: false,
  }));
}
