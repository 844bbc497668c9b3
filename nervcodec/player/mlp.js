// @ts-check
/** The MLP stem (section 5.4 of nvpp-format.md). */

import { activation, clip, LIMIT } from './integers.js';
import { layerOf } from './layers.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./layers.js').Layer} Layer */

const N_FREQUENCIES = 40;

/** Gives the first feature map of a frame. */
export class MlpStem {
  /**
   * @param {Model} model
   * @param {Map<string, Float64Array>} weights X by the names of tensors
   * @param {number} nFrames of the segment
   * @param {number} fractionBits
   */
  constructor(model, weights, nFrames, fractionBits) {
    const { stemHidden, stemChannels, stemHeight, stemWidth } = model;
    const outputs = stemChannels * stemHeight * stemWidth;
    this.nFrames = nFrames;
    this.fractionBits = fractionBits;
    this.silu = activation('silu', fractionBits);
    this.layers = [
      layerOf('stem.linear1', [stemHidden, 2 * N_FREQUENCIES], weights, fractionBits),
      layerOf('stem.linear2', [outputs, stemHidden], weights, fractionBits),
    ];
  }

  /**
   * @param {number} frame of the segment
   * @returns {Int16Array} [stem_channels, stem_height, stem_width]
   */
  map(frame) {
    const encoding = encodingOf(frame, this.nFrames, this.fractionBits);
    return this.layers.reduce((x, layer) => this.forward(layer, x), encoding);
  }

  /**
   * silu of a linear layer.
   * @param {Layer} layer
   * @param {Int16Array} x
   * @returns {Int16Array}
   */
  forward(layer, x) {
    const { outputs, inputs, weights, biases, shift } = layer;
    const y = new Int16Array(outputs);
    const scale = 2 ** -shift;
    for (let o = 0; o < outputs; o++) {
      let sum = biases[o];
      for (let i = 0, at = o * inputs; i < inputs; i++, at++) {
        sum = (sum + Math.imul(weights[at], x[i])) | 0;
      }
      y[o] = this.silu[clip(Math.floor(sum * scale + (shift > 0 ? 0.5 : 0))) + LIMIT];
    }
    return y;
  }
}

/**
 * Sines and cosines of the time of a frame.
 * @param {number} frame t
 * @param {number} nFrames T
 * @param {number} fractionBits
 * @returns {Int16Array} 40 sines, 40 cosines
 */
export function encodingOf(frame, nFrames, fractionBits) {
  const encoding = new Int16Array(2 * N_FREQUENCIES);
  const unit = 2 ** fractionBits;
  for (let i = 0; i < N_FREQUENCIES; i++) {
    const power = BigInt(i);
    const half = BigInt(nFrames) * 4n ** power;
    const part = (BigInt(frame) * 5n ** power) % (2n * half);
    const angle = (Number(part) / Number(half)) * Math.PI;
    encoding[i] = Math.floor(unit * Math.sin(angle) + 0.5);
    encoding[N_FREQUENCIES + i] = Math.floor(unit * Math.cos(angle) + 0.5);
  }
  return encoding;
}
