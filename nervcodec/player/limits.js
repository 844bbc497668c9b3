// @ts-check
/** What a reader agrees to decode (section 6.4 of nvpp-format.md). */

import { NvppError } from './errors.js';
import { channelsBehind, channelsOfLevel, nPhases, strideOf } from './model.js';
import { groupsOf, sizeOf } from './tensors.js';

/** @typedef {import('./model.js').Model} Model */

/**
 * @typedef {object} Limits
 * @property {number} side luma rows or columns
 * @property {number} pixels luma pixels of a frame
 * @property {number} frames that are shown
 * @property {number} parameters of a segment
 * @property {number} kmac thousands of multiply-adds for a luma pixel
 * @property {number} memoryMib MiB that decoding takes
 */

/** @type {Readonly<Limits>} */
export const DEFAULT_LIMITS = Object.freeze({
  side: 16384,
  pixels: 2 ** 27,
  frames: 10 ** 6,
  parameters: 10 ** 8,
  kmac: 5000,
  memoryMib: 4096,
});

const BYTES_PER_PARAMETER = 12; // a symbol, its X, a weight
const BYTES_PER_VALUE = 4;
const MAPS_AT_ONCE = 3;

/**
 * Refuse a file that asks for more than the limits.
 * @param {Model} model
 * @param {number} nFrames that are shown
 * @param {number[][]} shotsOfSegments frames of each shot of each segment
 * @param {Partial<Limits>} limits those that are not the default
 * @throws {NvppError} LimitExceeded
 */
export function checkLimits(model, nFrames, shotsOfSegments, limits = {}) {
  const { side, pixels, frames, parameters, kmac, memoryMib } = { ...DEFAULT_LIMITS, ...limits };
  const nPixels = model.width * model.height;
  atMost('side', Math.max(model.width, model.height), side);
  atMost('pixels', nPixels, pixels);
  atMost('frames', nFrames, frames);
  const most = Math.max(...shotsOfSegments.map((shots) => nParameters(model, shots)));
  atMost('parameters', most, parameters);
  atMost('kmac', multiplyAdds(model) / nPixels / 1000, kmac);
  const mib = memoryBytes(model, most) / 2 ** 20;
  if (mib > memoryMib) {
    throw new NvppError(
      'LimitExceeded',
      `decoding takes about ${grouped(mib)} MiB of memory, more than the limit of` +
        ` ${grouped(memoryMib)} MiB; --max-memory raises it`,
    );
  }
}

/**
 * @param {string} name
 * @param {number} value
 * @param {number} limit
 */
function atMost(name, value, limit) {
  if (value > limit) {
    throw new NvppError(
      'LimitExceeded',
      `${name} is ${grouped(value)}, more than the limit of ${grouped(limit)};` +
        ` --limit ${name}=N raises it`,
    );
  }
}

/**
 * An integer with commas between thousands.
 * @param {number} value
 * @returns {string}
 */
function grouped(value) {
  return String(BigInt(Math.round(value))).replace(/\B(?=(\d{3})+$)/g, ',');
}

/**
 * @param {Model} model
 * @param {number[]} shots
 * @returns {number}
 */
function nParameters(model, shots) {
  return groupsOf(model, shots)
    .flat()
    .flatMap((group) => group.tensors)
    .reduce((sum, tensor) => sum + sizeOf(tensor.shape), 0);
}

/**
 * Multiply-adds for a frame: those of layers, and two for each value of a grid.
 * @param {Model} model
 * @returns {number}
 */
function multiplyAdds(model) {
  let cells = model.stemHeight * model.stemWidth;
  const given = model.stemChannels;
  let total =
    model.stem === 'mlp' ? model.stemHidden * (80 + given * cells) : 2 * given * cells;
  const { pw, scrb1, scrb2 } = model.parts;
  const scrb = (/** @type {number} */ channels) => channels * (9 + 2 * channels);
  model.blocks.forEach(({ stride, width }, index) => {
    const before = channelsBehind(model, index);
    const inner = pw ? width : before;
    total += cells * ((pw ? width * before : 0) + (scrb1 ? scrb(inner) : 0));
    total += cells * width * stride ** 2 * inner * 9;
    cells *= stride ** 2;
    total += cells * ((scrb2 ? scrb(width) : 0) + 2 * channelsOfLevel(model, index + 1));
  });
  const last = channelsBehind(model, model.blocks.length);
  return total + cells * nPhases(model.colorspace) * last * 9;
}

/**
 * About how many bytes decoding takes: the parameters, and the largest maps.
 * @param {Model} model
 * @param {number} parameters
 * @returns {number}
 */
function memoryBytes(model, parameters) {
  let widest = 0;
  for (let level = 0; level <= model.blocks.length; level++) {
    const cells = model.stemHeight * model.stemWidth * strideOf(model, level) ** 2;
    widest = Math.max(widest, channelsBehind(model, level) * cells);
    if (level === model.blocks.length) {
      widest = Math.max(widest, nPhases(model.colorspace) * cells);
    }
  }
  return parameters * BYTES_PER_PARAMETER + widest * BYTES_PER_VALUE * MAPS_AT_ONCE;
}
