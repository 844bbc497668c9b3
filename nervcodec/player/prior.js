// @ts-check
/** Prior 1: the networks that it is for, and its weights (section 3.4 of nvpp-format.md). */

import { NvppError } from './errors.js';
import { crc32 } from './bytes.js';
import { PHASES, channelsBehind, channelsOfLevel, nPhases } from './model.js';
import { groupsOf, sizeOf } from './tensors.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./model.js').Tensor} Tensor */

/** CRC-32 of the weights of each prior. @type {Map<number, number>} */
export const PRIORS = new Map([[1, 0xf533f660]]);

const WIDTH = 16;
const GRID_CHANNELS = [6, 2, 3, 1];
const N_BLOCKS = 3;

/**
 * Refuse a prior that this reader does not have.
 * @param {Record<string, number>} header
 * @throws {NvppError} UnknownPrior
 */
export function checkPrior(header) {
  if (header.prior === 0) {
    return;
  }
  const crc = PRIORS.get(header.prior);
  if (crc === undefined) {
    const known = [0, ...PRIORS.keys()].join(', ');
    throw new NvppError(
      'UnknownPrior',
      `prior is ${header.prior}; this version has ${known}: update nervcodec`,
    );
  }
  if (crc !== header.prior_crc) {
    const hex = (/** @type {number} */ n) => `0x${n.toString(16).padStart(8, '0')}`;
    throw new NvppError(
      'UnknownPrior',
      `prior ${header.prior} has the checksum ${hex(header.prior_crc)}, and ${hex(crc)} in this` +
        ' version: decode with the version that encoded',
    );
  }
}

/**
 * Whether prior 1 is for a network.
 * @param {Model} model
 * @returns {boolean}
 */
export function fitsPrior(model) {
  const { pw, scrb1, scrb2, skip } = model.parts;
  return (
    model.stem === 'grid' &&
    model.lean &&
    pw &&
    scrb1 &&
    scrb2 &&
    skip &&
    model.colorspace !== 0 &&
    model.blocks.length === N_BLOCKS &&
    model.blocks.every((block) => block.stride === 2 && block.width >= WIDTH) &&
    GRID_CHANNELS.every((channels, level) => channelsOfLevel(model, level) === channels)
  );
}

/**
 * Add the prior to the weights and biases of a network.
 * @param {Map<string, Float64Array>} values X of each tensor that is not keyed (section 5.1)
 * @param {Model} model
 * @param {Uint8Array} bytes nervcodec/nn/priors/1.npy, or its weights alone
 * @throws {NvppError} UnknownPrior if these are not the weights
 */
export function addPrior(values, model, bytes) {
  const weights = weightsOf(bytes, model.prior);
  const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
  const own = tensorsOf(model);
  let offset = 0;
  for (const tensor of tensorsOf(priorModel(model)).values()) {
    const target = values.get(tensor.name);
    const shape = own.get(tensor.name)?.shape;
    if (target === undefined || shape === undefined) {
      throw new NvppError('InvalidField', `prior has ${tensor.name}, which is not in the network`);
    }
    addTensor(target, shape, tensor, model, (i) => halfTimes2To24(view.getUint16(offset + 2 * i, true)));
    offset += 2 * sizeOf(tensor.shape);
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {number} number of the prior
 * @returns {Uint8Array} its weights, without NumPy's header
 */
function weightsOf(bytes, number) {
  const isNumpy = bytes.length > 10 && bytes[0] === 0x93;
  const weights = isNumpy ? bytes.subarray(10 + bytes[8] + 256 * bytes[9]) : bytes;
  if (crc32(weights) !== PRIORS.get(number)) {
    throw new NvppError('UnknownPrior', `the weights given are not those of prior ${number}`);
  }
  return weights;
}

/**
 * The network whose tensors the prior holds.
 * @param {Model} model that it is for
 * @returns {Model}
 */
function priorModel(model) {
  return {
    ...model,
    colorspace: 1,
    blocks: model.blocks.map(({ stride }) => ({ stride, width: WIDTH })),
  };
}

/**
 * All tensors that are not keyed, in coded order.
 * @param {Model} model
 * @returns {Map<string, Tensor>}
 */
function tensorsOf(model) {
  const tensors = groupsOf(model, [1])
    .flat()
    .filter((group) => !group.keyed)
    .flatMap((group) => group.tensors);
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

/**
 * @param {Float64Array} target X of the network's tensor
 * @param {number[]} shape of it
 * @param {Tensor} prior tensor of the prior
 * @param {Model} model
 * @param {(i: number) => number} valueAt value i of the prior's tensor, times 2^24
 */
function addTensor(target, shape, prior, model, valueAt) {
  const [rows, columns = 1, ...kernel] = prior.shape;
  const ownColumns = shape[1] ?? 1;
  const inside = sizeOf(kernel);
  const isHead = prior.name.startsWith('head');
  const before = widthBefore(prior.name, model);
  for (let o = 0; o < rows; o++) {
    for (const row of isHead ? headRows(o, model.colorspace) : [o]) {
      for (let i = 0; i < columns; i++) {
        const column = i < WIDTH ? i : i - WIDTH + before;
        for (let j = 0; j < inside; j++) {
          target[(row * ownColumns + column) * inside + j] += valueAt((o * columns + i) * inside + j);
        }
      }
    }
  }
}

/**
 * The width of the block before a module, whose channels come before those of grids.
 * @param {string} name of a tensor
 * @param {Model} model
 * @returns {number}
 */
function widthBefore(name, model) {
  const level = name.startsWith('head') ? model.blocks.length : Number(name[5]) - 1;
  return level > 0 ? model.blocks[level - 1].width : channelsBehind(model, 0);
}

/**
 * Rows of the network's head to which row o of the prior's head is added.
 * @param {number} o 0 to 3 phases of luma, 4 Cb, 5 Cr
 * @param {number} colorspace of the network
 * @returns {number[]}
 */
function headRows(o, colorspace) {
  if (o < 4) {
    return [o];
  }
  const plane = o - 3;
  const phases = PHASES[colorspace][plane];
  if (phases === undefined) {
    return [];
  }
  const each = phases[0] * phases[1];
  const first = nPhases(colorspace) - each * (3 - plane);
  return Array.from({ length: each }, (_, i) => first + i);
}

/**
 * A float16 times 2^24, which is an integer.
 * @param {number} half its bits; finite
 * @returns {number}
 */
function halfTimes2To24(half) {
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  const magnitude = exponent === 0 ? mantissa : (1024 + mantissa) * 2 ** (exponent - 1);
  return half & 0x8000 ? -magnitude : magnitude;
}
