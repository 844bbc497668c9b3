// @ts-check
/** The engine in WebAssembly with 128-bit SIMD: blocks and head of a frame (sections 5.8, 5.9). */

import { dense, depthwise } from './engine_js.js';
import { LIMIT, activation, clip, places, sampleFractionBits, sampleTable } from './integers.js';
import { channelsBehind, nPhases } from './model.js';
import { Memory } from './pairs.js';

/** @typedef {import('./layers.js').Layer} Layer */
/** @typedef {import('./layers.js').Network} Network */
/** @typedef {import('./layers.js').Block} Block */
/** @typedef {import('./layers.js').Scrb} Scrb */
/** @typedef {import('./engine_js.js').Engine} Engine */
/** @typedef {import('./pairs.js').PairMap} PairMap */

/**
 * @typedef {object} Kernels the functions of kernels.wat
 * @property {(...integers: number[]) => void} convolve
 * @property {(...integers: number[]) => void} look_up
 * @property {(...integers: number[]) => void} add_resized_row
 *
 * @typedef {(kernels: Kernels, inputs: (Int16Array | null)[]) => void} Step
 */

const INT16 = 32767;

/**
 * @param {WebAssembly.Module} module compiled kernels.wasm
 * @param {Network} network
 * @returns {Engine}
 */
export function wasmEngine(module, network) {
  const plan = new Plan(network);
  const memory = plan.memory.make();
  const instance = new WebAssembly.Instance(module, { player: { memory } });
  const kernels = /** @type {Kernels} */ (/** @type {unknown} */ (instance.exports));
  return {
    name: 'wasm',
    run: (inputs) => {
      for (const step of plan.steps) {
        step(kernels, inputs);
      }
      return plan.samples();
    },
  };
}

/** The steps of a frame, and where its maps lie. */
class Plan {
  /** @param {Network} network */
  constructor(network) {
    const { model, blocks, head, fractionBits } = network;
    this.network = network;
    this.memory = new Memory();
    /** @type {Step[]} */
    this.steps = [];
    // Value 0 stands in the middle of a table.
    this.gelu = this.memory.constant(activation('gelu', fractionBits)) + 2 * LIMIT;
    this.silu = this.memory.constant(activation('silu', fractionBits)) + 2 * LIMIT;
    let x = this.memory.map(model.stemChannels, model.stemHeight, model.stemWidth);
    this.input(x, 0, 0);
    blocks.forEach((block, i) => {
      x = this.block(block, x, channelsBehind(model, i + 1));
      this.input(x, i + 1, block.ub.outputs / block.stride ** 2);
    });
    const drop = fractionBits + head.shift - sampleFractionBits(model.depth);
    const n = nPhases(model.colorspace);
    this.head = this.memory.map(n, x.rows, x.columns, 2 * Math.ceil(n / 2));
    this.convolve({ ...head, shift: drop }, x, this.head, { wide: true });
  }

  /**
   * Write an input behind the channels that a map has.
   * @param {PairMap} map
   * @param {number} index of the input
   * @param {number} firstChannel
   */
  input(map, index, firstChannel) {
    const { memory } = this;
    this.steps.push((_, inputs) => {
      const values = inputs[index];
      if (values !== null) {
        memory.write(map, values, firstChannel);
      }
      memory.clearEdges(map);
    });
  }

  /**
   * @param {Block} block
   * @param {PairMap} given
   * @param {number} channels of the result, with those of grids that are not there yet
   * @returns {PairMap}
   */
  block(block, given, channels) {
    const { memory } = this;
    const { rows, columns } = given;
    const { stride } = block;
    let low = given;
    if (block.pw !== null) {
      low = memory.map(block.pw.outputs, rows, columns);
      this.convolve(block.pw, given, low);
      memory.release(given.start);
    }
    let x = low;
    if (block.scrb1 !== null) {
      x = block.skip ? memory.map(low.channels, rows, columns) : low;
      this.scrb(block.scrb1, low, x);
    }
    const phases = memory.map(block.ub.outputs, rows, columns);
    this.convolve(block.ub, x, phases);
    if (x !== low) {
      memory.release(x.start);
    }
    const high = memory.map(channels, rows * stride, columns * stride);
    const width = block.ub.outputs / stride ** 2;
    this.shuffle(phases, high, stride);
    memory.release(phases.start);
    const own = { ...high, channels: width, nPairs: Math.ceil(width / 2) };
    if (block.scrb2 !== null) {
      this.scrb(block.scrb2, own, own);
    }
    if (block.skip) {
      this.addResized(own, low);
    }
    memory.release(low.start);
    return high;
  }

  /**
   * @param {Scrb} scrb
   * @param {PairMap} x
   * @param {PairMap} out may be x
   */
  scrb(scrb, x, out) {
    const { memory } = this;
    const inner = memory.map(x.channels, x.rows, x.columns);
    const gelu = memory.map(x.channels, x.rows, x.columns);
    this.convolve(scrb.dw, x, inner, { depthwise: true });
    this.convolve(scrb.pw1, inner, gelu);
    this.steps.push((kernels) => {
      for (let pair = 0; pair < gelu.nPairs; pair++) {
        const at = gelu.first + pair * gelu.plane;
        kernels.look_up(at, 2, 0, at, 2, 0, 1, 2 * gelu.nPixels, this.gelu);
      }
    });
    this.convolve(scrb.pw2, gelu, out, { residual: x });
    memory.release(inner.start);
    memory.release(gelu.start);
  }

  /**
   * Plan a convolution: out = clip(rs(..)), with a residual clip(residual + rs(..)).
   * @param {Layer} layer
   * @param {PairMap} x
   * @param {PairMap} out
   * @param {{depthwise?: boolean, residual?: PairMap | null, wide?: boolean}} options wide: 32-bit
   *   values without a clip
   */
  convolve(layer, x, out, { depthwise = false, residual = null, wide = false } = {}) {
    const { memory } = this;
    if (layer.shift < 0 || layer.weights.some((w) => w > INT16 || w < -INT16)) {
      this.convolveSlowly(layer, x, out, { depthwise, residual, wide });
      return;
    }
    const { offsets, weights, nTerms } = depthwise ? depthwiseTerms(layer, x) : terms(layer, x);
    const biases = new Int32Array(2 * out.nPairs);
    biases.set(layer.biases.map((bias) => bias + (layer.shift > 0 ? 1 << (layer.shift - 1) : 0)));
    const addresses = [memory.constant(offsets), memory.constant(weights), memory.constant(biases)];
    this.steps.push((kernels) => {
      kernels.convolve(
        x.first,
        out.first,
        out.plane,
        out.nPairs,
        addresses[0],
        depthwise ? 4 * nTerms : 0,
        addresses[1],
        nTerms,
        addresses[2],
        layer.shift,
        out.nPixels,
        residual?.first ?? 0,
        wide ? 1 : 0,
      );
      if (!wide) {
        memory.clearEdges(out);
      }
    });
  }

  /**
   * The same by the plain engine, for layers that do not fit 16 bits.
   * @param {Layer} layer
   * @param {PairMap} x
   * @param {PairMap} out
   * @param {{depthwise: boolean, residual: PairMap | null, wide: boolean}} options
   */
  convolveSlowly(layer, x, out, { depthwise: alone, residual, wide }) {
    const { memory } = this;
    this.steps.push(() => {
      const { values } = (alone ? depthwise : dense)(layer, memory.read(x));
      if (wide) {
        this.writeWide(values);
        return;
      }
      const added = residual === null ? null : memory.read(residual).values;
      memory.write(
        out,
        values.map((value, i) => clip(value + (added === null ? 0 : added[i]))),
        0,
      );
      memory.clearEdges(out);
    });
  }

  /** @param {Int16Array | Int32Array} values of the head, [phases, rows, columns] */
  writeWide(values) {
    const { first, plane, row, rows, columns } = this.head;
    for (let i = 0, from = 0; from < values.length; i++) {
      const at = first + Math.floor(i / rows) * plane + (i % rows) * row;
      this.memory.int32.set(values.subarray(from, (from += columns)), at / 4);
    }
  }

  /**
   * SiLU, and channels become rows and columns.
   * @param {PairMap} phases
   * @param {PairMap} out
   * @param {number} stride
   */
  shuffle(phases, out, stride) {
    const { memory } = this;
    this.steps.push((kernels) => {
      for (let channel = 0; channel < phases.channels; channel++) {
        const b = channel % stride;
        const a = Math.floor(channel / stride) % stride;
        const to = 2 * memory.channel(out, Math.floor(channel / stride ** 2)) + a * out.row + 4 * b;
        kernels.look_up(
          2 * memory.channel(phases, channel),
          4,
          phases.row,
          to,
          4 * stride,
          stride * out.row,
          phases.rows,
          phases.columns,
          this.silu,
        );
      }
      memory.clearEdges({ ...out, nPairs: Math.ceil(out.channels / 2) });
    });
  }

  /**
   * x = clip(x + the smaller map, resized to it).
   * @param {PairMap} x
   * @param {PairMap} low
   */
  addResized(x, low) {
    const { memory } = this;
    const down = places(low.rows, x.rows);
    const nHalves = Math.ceil(x.columns / 2);
    const table = memory.constant(placesOfColumns(low.columns, x.columns));
    const scratch = memory.allocate(8 * low.columns + 32);
    this.steps.push((kernels) => {
      for (let pair = 0; pair < x.nPairs; pair++) {
        const from = low.first + pair * low.plane;
        const to = x.first + pair * x.plane;
        for (let row = 0; row < x.rows; row++) {
          const part = down.part[row];
          kernels.add_resized_row(
            from + down.from[row] * low.row,
            from + down.to[row] * low.row,
            (part << 16) | (256 - part),
            low.columns,
            scratch,
            to + row * x.row,
            table,
            nHalves,
          );
        }
      }
      memory.clearEdges(x);
    });
    memory.release(scratch);
  }

  /** @returns {Uint8Array | Uint16Array} samples of the head, [phases, rows, columns] */
  samples() {
    const { depth } = this.network.model;
    const { channels, rows, columns, first, plane, row } = this.head;
    const table = sampleTable(depth);
    const most = (table.length - 1) / 2;
    const length = channels * rows * columns;
    const samples = depth === 8 ? new Uint8Array(length) : new Uint16Array(length);
    const { int32 } = this.memory;
    for (let i = 0, to = 0; i < channels * rows; i++) {
      let from = (first + Math.floor(i / rows) * plane + (i % rows) * row) / 4;
      for (const end = from + columns; from < end; from++, to++) {
        samples[to] = table[Math.min(Math.max(int32[from], -most), most) + most];
      }
    }
    return samples;
  }
}

/**
 * Terms of a convolution over all channels: a pair of inputs under each tap.
 * @param {Layer} layer
 * @param {PairMap} x
 * @returns {{offsets: Int32Array, weights: Int16Array, nTerms: number}}
 */
function terms(layer, x) {
  const { outputs, inputs, kernel } = layer;
  const taps = tapsOf(kernel, x);
  const nInputPairs = Math.ceil(inputs / 2);
  const nTerms = nInputPairs * taps.length;
  const offsets = new Int32Array(nTerms);
  const weights = new Int16Array(Math.ceil(outputs / 2) * nTerms * 4);
  for (let term = 0; term < nTerms; term++) {
    const pair = Math.floor(term / taps.length);
    const tap = term % taps.length;
    offsets[term] = pair * x.plane + taps[tap];
    for (let o = 0; o < outputs; o++) {
      const at = ((o >> 1) * nTerms + term) * 4 + 2 * (o & 1);
      for (let i = 2 * pair; i < Math.min(2 * pair + 2, inputs); i++) {
        weights[at + (i & 1)] = layer.weights[(o * inputs + i) * taps.length + tap];
      }
    }
  }
  return { offsets, weights, nTerms };
}

/**
 * Terms of a convolution of each channel alone: its own pair under each tap.
 * @param {Layer} layer
 * @param {PairMap} x
 * @returns {{offsets: Int32Array, weights: Int16Array, nTerms: number}}
 */
function depthwiseTerms(layer, x) {
  const taps = tapsOf(layer.kernel, x);
  const nTerms = taps.length;
  const nPairs = Math.ceil(layer.outputs / 2);
  const offsets = new Int32Array(nPairs * nTerms);
  const weights = new Int16Array(nPairs * nTerms * 4);
  for (let i = 0; i < nPairs * nTerms; i++) {
    offsets[i] = Math.floor(i / nTerms) * x.plane + taps[i % nTerms];
  }
  for (let o = 0; o < layer.outputs; o++) {
    for (let tap = 0; tap < nTerms; tap++) {
      weights[((o >> 1) * nTerms + tap) * 4 + 3 * (o & 1)] = layer.weights[o * nTerms + tap];
    }
  }
  return { offsets, weights, nTerms };
}

/**
 * Where the taps of a kernel lie from a pixel, in bytes.
 * @param {number} kernel 1 or 3
 * @param {PairMap} x
 * @returns {number[]}
 */
function tapsOf(kernel, x) {
  const edge = (kernel - 1) / 2;
  return Array.from(
    { length: kernel ** 2 },
    (_, tap) => (Math.floor(tap / kernel) - edge) * x.row + ((tap % kernel) - edge) * 4,
  );
}

/**
 * The table `places` of the kernel add_resized_row.
 * @param {number} n columns of the smaller map
 * @param {number} size columns of the larger map
 * @returns {Int32Array}
 */
function placesOfColumns(n, size) {
  const { from, to, part } = places(n, size);
  const table = new Int32Array(12 * Math.ceil(size / 2));
  for (let i = 0; i < size; i++) {
    const at = 12 * (i >> 1);
    const half = i & 1;
    table[at + 2 * half] = 8 * from[i];
    table[at + 2 * half + 1] = 8 * to[i];
    table.fill(256 - part[i], at + 4 + 2 * half, at + 6 + 2 * half);
    table.fill(part[i], at + 8 + 2 * half, at + 10 + 2 * half);
  }
  return table;
}
