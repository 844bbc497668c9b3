// @ts-check
/** Grids in time: blending, wavelets and motion (sections 5.5 to 5.7 of nvpp-format.md). */

import { strideOf } from './model.js';
import { Motion } from './motion.js';
import { gridSizes, keysOf } from './tensors.js';
import { unite } from './wavelets.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./model.js').Grid} Grid */

const KEYS_HELD = 4;

/**
 * @typedef {object} Place of a frame
 * @property {number} shot
 * @property {number} t frame of the shot, in between in 16ths
 * @property {number} nFrames T of the shot
 * @property {number} frame of the segment, in between in 16ths
 * @property {[right: number, down: number]} shift of all cells, in 256ths of a sample of the head
 *
 * @typedef {object} Blend of two keys
 * @property {number} key a, within the shot
 * @property {number} weight w of the next key, in 256ths
 * @property {number[]} distances n = t - n(k) of both keys
 */

/** Gives the channels that the grids of a level have in a frame. */
export class Grids {
  /**
   * @param {Model} model
   * @param {Map<string, Int16Array | Int32Array>} keyed values of keyed groups
   * @param {number[]} shots frames of each shot
   */
  constructor(model, keyed, shots) {
    this.model = model;
    this.shots = shots;
    this.motion = new Motion(model, keyed);
    this.grids = model.grids.map((grid, i) => new Keys(model, grid, `grid${i + 1}`, keyed, shots));
  }

  /**
   * blend(t, level): the channels of the grids of a level, one after the other.
   * @param {number} frame of the segment
   * @param {number} level
   * @param {Place['shift']} shift none in a file's frames
   * @returns {Int16Array | null} [channels, rows, columns], null without grids
   */
  map(frame, level, shift = [0, 0]) {
    const own = this.grids.filter(({ grid }) => grid.level === level);
    if (own.length === 0) {
      return null;
    }
    const place = { ...this.placeOf(frame), shift };
    const stride = strideOf(this.model, level);
    const cells = this.model.stemHeight * this.model.stemWidth * stride ** 2;
    const channels = own.reduce((sum, { grid }) => sum + grid.channels, 0);
    const result = new Int16Array(channels * cells);
    let at = 0;
    for (const keys of own) {
      const size = keys.grid.channels * cells;
      this.blend(keys, place, result.subarray(at, at + size));
      at += size;
    }
    return result;
  }

  /**
   * @param {Keys} keys
   * @param {Place} place
   * @param {Int16Array} target
   */
  blend(keys, place, target) {
    const nKeys = keys.perShot[place.shot];
    const { key, weight, distances } = blendOf(place.t, place.nFrames, nKeys);
    const follows = this.model.motionHeight > 0 && keys.grid.level > 0;
    const moves = follows || place.shift.some(Boolean);
    const value = (/** @type {number} */ i) => {
      const still = keys.map(place.shot, key + i);
      return moves
        ? this.motion.moved(still, keys.grid, place, nKeys, follows ? distances[i] : 0)
        : still;
    };
    const first = value(0);
    if (weight === 0) {
      target.set(first);
      return;
    }
    const second = value(1);
    for (let i = 0; i < target.length; i++) {
      target[i] = ((256 - weight) * first[i] + weight * second[i] + 128) >> 8;
    }
  }

  /**
   * @param {number} frame of the segment
   * @returns {Omit<Place, 'shift'>}
   * @throws {RangeError} a time between two shots
   */
  placeOf(frame) {
    let t = frame;
    let shot = 0;
    while (t >= this.shots[shot]) {
      t -= this.shots[shot];
      shot++;
    }
    if (t > this.shots[shot] - 1) {
      throw new RangeError(`frame is ${frame}; legal: none across a cut`);
    }
    return { shot, t, nFrames: this.shots[shot], frame };
  }
}

/**
 * Which keys of a shot a frame is made of. With t in 16ths, all but t and n stays an integer, and
 * a whole t gives what it gives in whole frames.
 * @param {number} t frame of the shot
 * @param {number} nFrames T
 * @param {number} nKeys K
 * @returns {Blend}
 */
export function blendOf(t, nFrames, nKeys) {
  const standsOn = (/** @type {number} */ k) => Math.floor(((2 * k + 1) * nFrames) / (2 * nKeys));
  // The last key with n(k) <= t, found from a guess that is at most one off.
  let key = Math.min(Math.floor((t * nKeys) / nFrames), nKeys - 1);
  while (key > 0 && standsOn(key) > t) {
    key--;
  }
  while (key + 1 < nKeys && standsOn(key + 1) <= t) {
    key++;
  }
  const start = standsOn(key);
  const end = standsOn(key + 1);
  const span = end - start;
  const weight =
    t > start && key + 1 < nKeys
      ? Math.floor((256 * (t - start) + Math.floor(span / 2)) / span)
      : 0;
  return { key, weight, distances: [t - start, t - end] };
}

/** The keys of a grid, put together when they are asked for. */
class Keys {
  /**
   * @param {Model} model
   * @param {Grid} grid
   * @param {string} name
   * @param {Map<string, Int16Array | Int32Array>} keyed
   * @param {number[]} shots
   */
  constructor(model, grid, name, keyed, shots) {
    this.grid = grid;
    this.perShot = keysOf(grid.interval, shots);
    this.sizes = gridSizes(model, grid.level);
    this.coarse = valuesOf(keyed, name);
    this.details = this.sizes.slice(1).map((_, j) => valuesOf(keyed, `${name}.details${j + 1}`));
    /** @type {Map<number, Int16Array>} */
    this.held = new Map();
  }

  /**
   * @param {number} shot
   * @param {number} keyOfShot
   * @returns {Int16Array} [channels, rows, columns]
   */
  map(shot, keyOfShot) {
    const key = this.perShot.slice(0, shot).reduce((sum, n) => sum + n, keyOfShot);
    let map = this.held.get(key);
    if (map === undefined) {
      map = this.build(key);
      if (this.held.size >= KEYS_HELD) {
        this.held.delete([...this.held.keys()][0]);
      }
      this.held.set(key, map);
    }
    return map;
  }

  /**
   * @param {number} key of the segment
   * @returns {Int16Array}
   */
  build(key) {
    const { channels } = this.grid;
    const levels = this.details.length;
    const [rows, columns] = this.sizes[levels];
    const size = channels * rows * columns;
    let map = this.coarse.subarray(key * size, (key + 1) * size);
    for (let j = levels; j >= 1; j--) {
      const [height, width] = this.sizes[j];
      const length = 3 * channels * height * width;
      const details = this.details[j - 1].subarray(key * length, (key + 1) * length);
      map = unite(map, details, channels, this.sizes[j], this.sizes[j - 1]);
    }
    return map;
  }
}

/**
 * @param {Map<string, Int16Array | Int32Array>} keyed
 * @param {string} name
 * @returns {Int16Array}
 */
function valuesOf(keyed, name) {
  const values = keyed.get(name);
  if (!(values instanceof Int16Array)) {
    throw new RangeError(`there are no values of ${name}`);
  }
  return values;
}

