// @ts-check
/** The order of a frame's steps on a GPU (sections 5.8 and 5.9). */

import { termsOf } from './gpu_steps.js';
import { LIMIT, activation, sampleFractionBits, sampleTable } from './integers.js';
import { channelsBehind, nPhases } from './model.js';

/** @typedef {import('./layers.js').Layer} Layer */
/** @typedef {import('./layers.js').Network} Network */
/** @typedef {import('./layers.js').Block} Block */
/** @typedef {import('./layers.js').Scrb} Scrb */
/** @typedef {import('./engine_js.js').Engine} Engine */

/**
 * @typedef {object} GpuMap tiles of rows and columns, each of four channels; they lie one after the
 *   other, `across` of them side by side
 * @property {any} store whose `data` the GPU reads
 * @property {number} channels
 * @property {number} rows
 * @property {number} columns
 * @property {number} across
 *
 * @typedef {object} Table
 * @property {any} list
 * @property {number} limit it has entries for -limit..limit
 *
 * @typedef {object} Sources what a step reads
 * @property {GpuMap | null} [pixels]
 * @property {GpuMap} [others]
 * @property {any} [weights] a list of four int32 for each entry
 * @property {any} [items] a list of int32
 *
 * @typedef {'append' | 'convolve' | 'addResized'} StepName
 *
 * @typedef {object} Gpu
 * @property {string} name of the engine
 * @property {Stores} stores
 * @property {(values: ArrayLike<number>, lanes?: number, list?: any) => any} list int32 values, 1
 *   or 4 for each entry, written to a new list or to one of that length
 * @property {(channels: number, rows: number, columns: number) => GpuMap} map
 * @property {(name: StepName, out: GpuMap, read: any[], shapes: Record<string, GpuMap>, constants:
 *   Record<string, number>) => void} step plans one of gpu_steps.js, which reads the data of two
 *   maps and two lists
 * @property {(head: GpuMap) => Int32Array | Promise<Int32Array>} run all steps, and read a map
 */

/** The memory of maps, which all networks of a device share: they run one after the other. */
export class Stores {
  /** @param {any[]} all of a device */
  constructor(all) {
    this.all = all;
    this.free = [...all];
  }

  /**
   * @param {string} key of stores that can be used for one another
   * @param {() => object} make a store, where none is free
   */
  take(key, make) {
    const at = this.free.findIndex((store) => store.key === key);
    if (at >= 0) {
      return this.free.splice(at, 1)[0];
    }
    const store = { key, ...make() };
    this.all.push(store);
    return store;
  }

  /** @param {GpuMap} map that no later step reads */
  release(map) {
    this.free.push(map.store);
  }
}

/**
 * @param {Gpu} gpu
 * @param {Network} network
 * @returns {Engine}
 */
export function gpuEngine(gpu, network) {
  const plan = new Plan(gpu, network);
  return { name: gpu.name, run: (inputs) => plan.run(inputs) };
}

/** The steps of a frame. */
class Plan {
  /**
   * @param {Gpu} gpu
   * @param {Network} network
   */
  constructor(gpu, { model, blocks, head, fractionBits }) {
    this.gpu = gpu;
    this.model = model;
    /** @type {{index: number, list: any}[]} */
    this.inputs = [];
    this.gelu = this.table(activation('gelu', fractionBits));
    this.silu = this.table(activation('silu', fractionBits));
    let x = this.append(null, model.stemChannels, model.stemHeight, model.stemWidth, 0);
    blocks.forEach((block, i) => {
      x = this.block(block, x);
      const channels = channelsBehind(model, i + 1);
      if (channels > x.channels) {
        x = this.after(x, (own) => this.append(own, channels, own.rows, own.columns, i + 1));
      }
    });
    const shift = fractionBits + head.shift - sampleFractionBits(model.depth);
    const table = this.table(sampleTable(model.depth));
    this.head = this.convolve({ ...head, shift }, x, { table });
  }

  /**
   * @param {ArrayLike<number>} values
   * @returns {Table}
   */
  table(values) {
    return { list: this.gpu.list(values), limit: (values.length - 1) / 2 };
  }

  /**
   * @param {GpuMap} x released
   * @param {(x: GpuMap) => GpuMap} plan
   * @returns {GpuMap} what is made of it
   */
  after(x, plan) {
    const out = plan(x);
    this.gpu.stores.release(x);
    return out;
  }

  /**
   * @param {Block} block
   * @param {GpuMap} given released
   * @returns {GpuMap}
   */
  block({ stride, pw, scrb1, ub, scrb2, skip }, given) {
    const low = pw ? this.after(given, (x) => this.convolve(pw, x)) : given;
    const widen = (/** @type {GpuMap} */ x) => this.convolve(ub, x, { stride, table: this.silu });
    let high = scrb1 ? this.after(this.scrb(scrb1, low), widen) : widen(low);
    if (scrb2) {
      high = this.after(high, (x) => this.scrb(scrb2, x));
    }
    if (skip) {
      high = this.after(high, (x) => this.addResized(x, low));
    }
    this.gpu.stores.release(low);
    return high;
  }

  /**
   * @param {Scrb} scrb
   * @param {GpuMap} residual
   * @returns {GpuMap}
   */
  scrb({ dw, pw1, pw2 }, residual) {
    const inner = this.convolve(dw, residual, { isDepthwise: true });
    const gelu = this.after(inner, (x) => this.convolve(pw1, x, { table: this.gelu }));
    return this.after(gelu, (x) => this.convolve(pw2, x, { residual }));
  }

  /**
   * Append the channels of an input to a map.
   * @param {GpuMap | null} x
   * @param {number} channels of the result
   * @param {number} rows
   * @param {number} columns
   * @param {number} index of the input
   * @returns {GpuMap}
   */
  append(x, channels, rows, columns, index) {
    const { gpu } = this;
    const first = x?.channels ?? 0;
    const length = (channels - first) * rows * columns;
    // All inputs are written before the first step: nothing else may have their lists.
    const { list } = gpu.stores.take(`input ${index} of ${length}`, () => ({
      list: gpu.list(new Int32Array(length)),
    }));
    this.inputs.push({ index, list });
    const out = gpu.map(channels, rows, columns);
    return this.step('append', out, { pixels: x, items: list }, { first });
  }

  /**
   * Sums that are shifted; they are clipped, entries of a table, or added to a map.
   * @param {Layer} layer
   * @param {GpuMap} x
   * @param {object} options
   * @param {boolean} [options.isDepthwise]
   * @param {number} [options.stride] channels become so many rows and columns of each
   * @param {Table} [options.table]
   * @param {GpuMap} [options.residual]
   * @returns {GpuMap}
   */
  convolve(layer, x, { isDepthwise = false, stride = 1, table, residual } = {}) {
    const { gpu } = this;
    const out = gpu.map(layer.outputs / stride ** 2, x.rows * stride, x.columns * stride);
    const { values, constants } = termsOf(layer, stride, isDepthwise);
    const weights = gpu.list(values, 4);
    const sources = { pixels: x, others: residual, weights, items: table?.list };
    return this.step('convolve', out, sources, {
      ...constants,
      adds: residual ? 1 : 0,
      looks: table ? 1 : 0,
      limit: table?.limit ?? LIMIT,
    });
  }

  /**
   * clip(x + the smaller map, resized to it).
   * @param {GpuMap} x
   * @param {GpuMap} low
   * @returns {GpuMap}
   */
  addResized(x, low) {
    const out = this.gpu.map(x.channels, x.rows, x.columns);
    const sources = { pixels: x, others: low };
    return this.step('addResized', out, sources, { right: 16, limit: LIMIT });
  }

  /**
   * @param {StepName} name
   * @param {GpuMap} out
   * @param {Sources} sources
   * @param {Record<string, number>} constants
   * @returns {GpuMap} out
   */
  step(name, out, { pixels, others, weights, items }, constants) {
    // What a step does not read must be something, and not the map that it writes.
    const any = pixels?.store.data ?? items;
    const read = [any, others?.store.data ?? any, weights ?? any, items ?? any];
    const shapes = { pixels: pixels ?? out, others: others ?? out, size: out };
    this.gpu.step(name, out, read, shapes, constants);
    return out;
  }

  /**
   * @param {(Int16Array | null)[]} inputs
   * @returns {Promise<Uint8Array | Uint16Array>} samples, [phases, rows, columns]
   */
  async run(inputs) {
    this.inputs.forEach(({ index, list }) => this.gpu.list(inputs[index] ?? [], 1, list));
    const values = await this.gpu.run(this.head);
    const { rows, columns, across } = this.head;
    const { colorspace, depth } = this.model;
    const nRows = nPhases(colorspace) * rows;
    const length = nRows * columns;
    const samples = depth === 8 ? new Uint8Array(length) : new Uint16Array(length);
    for (let i = 0, to = 0; i < nRows; i++) {
      const channel = Math.floor(i / rows);
      const tile = channel >> 2;
      const line = (Math.floor(tile / across) * rows + (i % rows)) * across + (tile % across);
      let from = 4 * line * columns + (channel & 3);
      for (const end = to + columns; to < end; to++, from += 4) {
        samples[to] = values[from];
      }
    }
    return samples;
  }
}
