// @ts-check
/** Motion of keys (section 5.7 of nvpp-format.md). */

import { places } from './integers.js';
import { strideOf } from './model.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./model.js').Grid} Grid */
/** @typedef {import('./grids.js').Place} Place */
/** @typedef {import('./integers.js').Places} Places */

const PLACE_LIMIT = 2 ** 20;

/**
 * @typedef {object} Level
 * @property {number} rows
 * @property {number} columns
 * @property {number} stride S_l
 * @property {Places} down
 * @property {Places} right
 *
 * @typedef {object} Field where the cells of a moved key come from
 * @property {Int32Array} at the cell above and left
 * @property {Int32Array} right step to the cell on the right, 0 at the edge
 * @property {Int32Array} down step to the cell below, 0 at the edge
 * @property {Int32Array} partDown in 256ths
 * @property {Int32Array} partRight in 256ths
 */

/** Moves keys by the motion and the offset of a frame, if there are any, and by a shift. */
export class Motion {
  /**
   * @param {Model} model
   * @param {Map<string, Int16Array | Int32Array>} keyed values of keyed groups
   */
  constructor(model, keyed) {
    this.model = model;
    this.motion = keyed.get('motion') ?? new Int32Array(0);
    this.offset = keyed.get('offset') ?? new Int32Array(0);
    this.rows = model.motionHeight || 1;
    this.columns = model.motionWidth || 1;
    this.stride = strideOf(model, model.blocks.length);
    /** Whether quotients by the stride are exact in float64. */
    this.isDyadic = Number.isInteger(Math.log2(this.stride));
    /** @type {Map<number, Level>} */
    this.levels = new Map();
    /** @type {Map<string, Field>} */
    this.fields = new Map();
    this.placeOfFields = '';
  }

  /**
   * @param {Int16Array} key [channels, rows, columns]
   * @param {Grid} grid
   * @param {Place} place of the frame
   * @param {number} nKeys K of the shot
   * @param {number} distance n = t - n(k)
   * @returns {Int16Array} [channels, rows, columns]
   */
  moved(key, grid, place, nKeys, distance) {
    const field = this.field(grid.level, place, nKeys, distance);
    const cells = field.at.length;
    const result = new Int16Array(key.length);
    for (let channel = 0; channel < grid.channels; channel++) {
      const from = channel * cells;
      for (let i = 0; i < cells; i++) {
        const at = from + field.at[i];
        const a = field.partDown[i];
        const b = field.partRight[i];
        const right = field.right[i];
        const down = at + field.down[i];
        const above = (256 - b) * key[at] + b * key[at + right];
        const below = (256 - b) * key[down] + b * key[down + right];
        result[from + i] = ((256 - a) * above + a * below + 32768) >> 16;
      }
    }
    return result;
  }

  /**
   * The field of a level and a key; grids of one level share it.
   * @param {number} level
   * @param {Place} place
   * @param {number} nKeys
   * @param {number} distance
   * @returns {Field}
   */
  field(level, place, nKeys, distance) {
    const at = `${place.frame} ${place.shift}`;
    if (this.placeOfFields !== at) {
      this.fields.clear();
      this.placeOfFields = at;
    }
    const name = `${level} ${distance}`;
    let field = this.fields.get(name);
    if (field === undefined) {
      field = this.buildField(this.level(level), place, nKeys, distance);
      this.fields.set(name, field);
    }
    return field;
  }

  /**
   * @param {number} number
   * @returns {Level}
   */
  level(number) {
    let level = this.levels.get(number);
    if (level === undefined) {
      const { stemHeight, stemWidth } = this.model;
      const stride = strideOf(this.model, number);
      const rows = stemHeight * stride;
      const columns = stemWidth * stride;
      level = {
        rows,
        columns,
        stride,
        down: places(this.rows, rows),
        right: places(this.columns, columns),
      };
      this.levels.set(number, level);
    }
    return level;
  }

  /**
   * @param {Level} level
   * @param {Place} place
   * @param {number} nKeys
   * @param {number} distance
   * @returns {Field}
   */
  buildField(level, place, nKeys, distance) {
    const { rows, columns } = level;
    const cells = rows * columns;
    const field = {
      at: new Int32Array(cells),
      right: new Int32Array(cells),
      down: new Int32Array(cells),
      partDown: new Int32Array(cells),
      partRight: new Int32Array(cells),
    };
    const coarse = [0, 1].map((channel) => this.positions(channel, place, nKeys, distance));
    const toRight = new Int32Array(columns);
    const toBottom = new Int32Array(columns);
    for (let i = 0, cell = 0; i < rows; i++) {
      this.displacements(toRight, level, coarse[0], i);
      this.displacements(toBottom, level, coarse[1], i);
      for (let j = 0; j < columns; j++, cell++) {
        const y = Math.min(Math.max(256 * i + toBottom[j], 0), 256 * (rows - 1));
        const x = Math.min(Math.max(256 * j + toRight[j], 0), 256 * (columns - 1));
        field.at[cell] = (y >> 8) * columns + (x >> 8);
        field.right[cell] = (x >> 8) + 1 < columns ? 1 : 0;
        field.down[cell] = (y >> 8) + 1 < rows ? columns : 0;
        field.partDown[cell] = y & 255;
        field.partRight[cell] = x & 255;
      }
    }
    return field;
  }

  /**
   * D of one channel and one row.
   * @param {Int32Array} target [columns] in 256ths of a cell
   * @param {Level} level
   * @param {Float64Array} coarse P
   * @param {number} row
   */
  displacements(target, level, coarse, row) {
    const width = this.columns;
    const { down, right } = level;
    const a = down.part[row];
    const above = down.from[row] * width;
    const below = down.to[row] * width;
    const between = new Float64Array(width);
    for (let i = 0; i < width; i++) {
      between[i] = (256 - a) * coarse[above + i] + a * coarse[below + i];
    }
    const scale = level.stride / this.stride;
    for (let j = 0; j < target.length; j++) {
      const b = right.part[j];
      const sum = (256 - b) * between[right.from[j]] + b * between[right.to[j]];
      const v = Math.floor(sum / 65536 + 0.5);
      target[j] = this.isDyadic
        ? Math.floor(v * scale + 0.5)
        : Math.floor((2 * v * level.stride + this.stride) / (2 * this.stride));
    }
  }

  /**
   * P of one channel, and the shift of the place: numbers of up to 53 bits.
   * @param {number} channel
   * @param {Place} place
   * @param {number} nKeys
   * @param {number} distance
   * @returns {Float64Array} [motion_height, motion_width] in 256ths of a sample
   */
  positions(channel, place, nKeys, distance) {
    const cells = this.rows * this.columns;
    const result = new Float64Array(cells).fill(place.shift[channel]);
    if (distance === 0) {
      return result;
    }
    const before = Math.floor(place.frame);
    const part = place.frame - before;
    const start = (2 * before + channel) * cells;
    const t = place.nFrames;
    /** @param {Int16Array | Int32Array} values of all frames @param {number} at */
    const between = (values, at) =>
      part === 0
        ? values[at]
        : Math.floor(values[at] + part * (values[at + 2 * cells] - values[at]) + 0.5);
    for (let i = 0; i < cells; i++) {
      const m = between(this.motion, start + i);
      const o = between(this.offset, start + i);
      const p = Math.floor((8 * m * distance * nKeys + 2 * o * t + 8 * t) / (16 * t));
      result[i] += Math.min(Math.max(p, -PLACE_LIMIT), PLACE_LIMIT);
    }
    return result;
  }
}
