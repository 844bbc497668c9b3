// @ts-check
/** Frames of a segment (sections 5.3 and 5.10 of nvpp-format.md). */

import { jsEngine } from './engine_js.js';
import { Grids } from './grids.js';
import { networkOf } from './layers.js';
import { MlpStem } from './mlp.js';
import { PARTS, PHASES, planeSize, strideOf } from './model.js';
import { decodeParameters } from './streams.js';
import { doubled } from './upscaling.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./container.js').NvppFile} NvppFile */
/** @typedef {import('./engine_js.js').Engine} Engine */

/**
 * @typedef {object} Frame planes in the colorspace of the network
 * @property {(Uint8Array | Uint16Array)[]} planes of samples, row by row
 * @property {number[]} widths of each plane
 * @property {number[]} heights of each plane
 *
 * @typedef {object} EngineFactory
 * @property {string} engineName
 * @property {(network: import('./layers.js').Network) => Engine} create
 */

/** @type {EngineFactory} */
const JS = { engineName: 'js', create: jsEngine };

/** Decodes any frame of a segment, in any order. */
export class SegmentDecoder {
  /**
   * Decode the parameters of a segment.
   * @param {NvppFile} file
   * @param {number} segmentIndex
   * @param {object} [options]
   * @param {Uint8Array | null} [options.prior] bytes of nervcodec/nn/priors/1.npy, if the file's
   *   network has that prior
   * @param {EngineFactory} [options.engine] of engines.js; plain JavaScript without one
   * @throws {import('./errors.js').NvppError}
   */
  constructor(file, segmentIndex, { prior = null, engine = JS } = {}) {
    const segment = file.segments[segmentIndex];
    const { model } = file;
    const { weights, keyed } = decodeParameters(model, segment, prior);
    this.model = model;
    this.nFrames = segment.nFrames;
    this.mlp =
      model.stem === 'mlp'
        ? new MlpStem(model, weights, segment.nFrames, segment.fractionBits)
        : null;
    this.grids = new Grids(model, keyed, segment.shots);
    this.engine = engine.create(networkOf(model, weights, segment.fractionBits));
  }

  /**
   * Decode a frame. A time between two frames of a shot, which a grid stem has too, is what the
   * network makes of it, and no part of the file.
   * @param {number} frame of the segment, from 0; in between in 16ths
   * @param {[right: number, down: number]} [shift] of where a grid stem's samples are taken, in
   *   256ths of a sample of the head
   * @returns {Frame | Promise<Frame>} a promise where the engine gives one
   * @throws {RangeError} a time that the segment does not have
   */
  decode(frame, shift) {
    const isLegal = Number.isInteger(this.mlp ? frame : PARTS * frame);
    if (!isLegal || frame < 0 || frame > this.nFrames - 1) {
      throw new RangeError(`frame is ${frame}; legal: 0 to ${this.nFrames - 1}`);
    }
    const inputs = [this.mlp?.map(frame) ?? this.grids.map(frame, 0, shift)];
    for (let level = 1; level <= this.model.blocks.length; level++) {
      inputs.push(this.grids.map(frame, level, shift));
    }
    const samples = this.engine.run(inputs);
    return samples instanceof Promise
      ? samples.then((values) => planesOf(values, this.model))
      : planesOf(samples, this.model);
  }

  /**
   * Make a frame of twice the rows and columns, an extrapolation, which a grid stem has.
   * @param {number} frame as decode takes it
   * @returns {Promise<Frame>}
   * @throws {RangeError} a time that the segment does not have, or an MLP stem
   */
  async upscale(frame) {
    if (this.mlp) {
      throw new RangeError('upscale is true with an MLP stem; legal: false');
    }
    const whole = await this.decode(frame);
    const quarter = 64 / PHASES[this.model.colorspace][0][0]; // of a sample of the first plane
    const four = [];
    for (const down of [-quarter, quarter]) {
      for (const right of [-quarter, quarter]) {
        four.push(await this.decode(frame, [right, down]));
      }
    }
    return doubled(whole, four, this.model);
  }
}

/**
 * Planes of the samples of the head.
 * @param {Uint8Array | Uint16Array} samples [phases, rows, columns]
 * @param {Model} model
 * @returns {Frame}
 */
export function planesOf(samples, model) {
  const stride = strideOf(model, model.blocks.length);
  const columns = model.stemWidth * stride;
  const cells = model.stemHeight * stride * columns;
  /** @type {Frame} */
  const frame = { planes: [], widths: [], heights: [] };
  let phase = 0;
  PHASES[model.colorspace].forEach(([r, c], index) => {
    const [height, width] = planeSize(model, index);
    const length = width * height;
    const plane = model.depth === 8 ? new Uint8Array(length) : new Uint16Array(length);
    for (let y = 0; y < height; y++) {
      const row = (phase + (y % r) * c) * cells + Math.floor(y / r) * columns;
      for (let j = 0; j < c; j++) {
        let from = row + j * cells;
        for (let to = y * width + j, end = (y + 1) * width; to < end; to += c, from++) {
          plane[to] = samples[from];
        }
      }
    }
    phase += r * c;
    frame.planes.push(plane);
    frame.widths.push(width);
    frame.heights.push(height);
  });
  return frame;
}
