// @ts-check
/** The engine in plain JavaScript: blocks and head of a frame (sections 5.8 and 5.9). */

import { LIMIT, activation, clip, places, sampleFractionBits, sampleTable } from './integers.js';

/** @typedef {import('./layers.js').Layer} Layer */
/** @typedef {import('./layers.js').Network} Network */
/** @typedef {import('./layers.js').Block} Block */
/** @typedef {import('./layers.js').Scrb} Scrb */

/**
 * @typedef {object} FeatureMap
 * @property {Int16Array | Int32Array} values [channels, rows, columns]
 * @property {number} channels
 * @property {number} rows
 * @property {number} columns
 *
 * @typedef {object} Engine
 * @property {string} name
 * @property {(inputs: (Int16Array | null)[]) => Samples | Promise<Samples>} run inputs: the channels
 *   of the stem, then those of the grids behind each block; gives the samples of the head,
 *   [phases, rows, columns]
 *
 * @typedef {Uint8Array | Uint16Array} Samples
 */

const HELD = 2 ** 20; // results that are shifted left are held here; what follows clips them

/**
 * @param {Network} network
 * @returns {Engine}
 */
export function jsEngine(network) {
  return { name: 'js', run: (inputs) => runNetwork(network, inputs) };
}

/**
 * @param {Network} network
 * @param {(Int16Array | null)[]} inputs
 * @returns {Uint8Array | Uint16Array}
 */
function runNetwork(network, inputs) {
  const { model, blocks, head, fractionBits } = network;
  /** @type {FeatureMap} */
  let x = {
    values: inputs[0] ?? new Int16Array(0),
    channels: model.stemChannels,
    rows: model.stemHeight,
    columns: model.stemWidth,
  };
  blocks.forEach((block, i) => {
    x = appended(runBlock(block, x, fractionBits), inputs[i + 1] ?? null);
  });
  return samplesOf(head, x, fractionBits, model.depth);
}

/**
 * @param {Block} block
 * @param {FeatureMap} given
 * @param {number} fractionBits
 * @returns {FeatureMap}
 */
function runBlock(block, given, fractionBits) {
  let x = given;
  if (block.pw !== null) {
    x = clipped(dense(block.pw, x));
  }
  const low = x;
  if (block.scrb1 !== null) {
    x = runScrb(block.scrb1, x, fractionBits);
  }
  x = shuffled(looked(dense(block.ub, x), activation('silu', fractionBits)), block.stride);
  if (block.scrb2 !== null) {
    x = runScrb(block.scrb2, x, fractionBits);
  }
  if (block.skip) {
    addResized(x, low);
  }
  return x;
}

/**
 * @param {Scrb} scrb
 * @param {FeatureMap} x
 * @param {number} fractionBits
 * @returns {FeatureMap}
 */
function runScrb(scrb, x, fractionBits) {
  const inner = clipped(depthwise(scrb.dw, x));
  const gelu = looked(dense(scrb.pw1, inner), activation('gelu', fractionBits));
  const y = dense(scrb.pw2, gelu);
  for (let i = 0; i < y.values.length; i++) {
    y.values[i] = clip(x.values[i] + y.values[i]);
  }
  return y;
}

/**
 * A convolution over all channels, each sum shifted and rounded.
 * @param {Layer} layer
 * @param {FeatureMap} x
 * @returns {FeatureMap}
 */
export function dense(layer, x) {
  const cells = x.rows * x.columns;
  const values = new Int32Array(layer.outputs * cells);
  const planes = planesOf(x, layer.kernel);
  for (let o = 0; o < layer.outputs; o++) {
    const sums = values.subarray(o * cells, (o + 1) * cells).fill(layer.biases[o]);
    if (layer.kernel === 1) {
      addPoints(sums, planes, layer.weights.subarray(o * layer.inputs, (o + 1) * layer.inputs));
    } else {
      for (let c = 0; c < layer.inputs; c++) {
        const at = 9 * (o * layer.inputs + c);
        addKernel(sums, planes[c], x.columns, layer.weights.subarray(at, at + 9));
      }
    }
    shift(sums, layer.shift);
  }
  return { ...x, values, channels: layer.outputs };
}

/**
 * A convolution of each channel alone.
 * @param {Layer} layer
 * @param {FeatureMap} x
 * @returns {FeatureMap}
 */
export function depthwise(layer, x) {
  const cells = x.rows * x.columns;
  const values = new Int32Array(layer.outputs * cells);
  const planes = planesOf(x, layer.kernel);
  for (let o = 0; o < layer.outputs; o++) {
    const sums = values.subarray(o * cells, (o + 1) * cells).fill(layer.biases[o]);
    addKernel(sums, planes[o], x.columns, layer.weights.subarray(9 * o, 9 * o + 9));
    shift(sums, layer.shift);
  }
  return { ...x, values };
}

/**
 * The planes of a map, with zeros around them for a kernel of 3 x 3.
 * @param {FeatureMap} x
 * @param {number} kernel 1 or 3
 * @returns {Int32Array[]} each [rows, columns] or [rows + 2, columns + 2]
 */
function planesOf({ values, channels, rows, columns }, kernel) {
  const edge = (kernel - 1) / 2;
  const width = columns + 2 * edge;
  return Array.from({ length: channels }, (_, channel) => {
    const plane = new Int32Array((rows + 2 * edge) * width);
    for (let y = 0; y < rows; y++) {
      const from = (channel * rows + y) * columns;
      plane.set(values.subarray(from, from + columns), (y + edge) * width + edge);
    }
    return plane;
  });
}

/**
 * sums += a weight times each plane, four planes at a time.
 * @param {Int32Array} sums
 * @param {Int32Array[]} planes
 * @param {Int32Array} weights one for each plane
 */
function addPoints(sums, planes, weights) {
  const none = new Int32Array(planes.length % 4 === 0 ? 0 : sums.length);
  for (let c = 0; c < planes.length; c += 4) {
    const [w0, w1 = 0, w2 = 0, w3 = 0] = weights.subarray(c, c + 4);
    const [p0, p1 = none, p2 = none, p3 = none] = planes.slice(c, c + 4);
    for (let i = 0; i < sums.length; i++) {
      sums[i] +=
        Math.imul(w0, p0[i]) + Math.imul(w1, p1[i]) + Math.imul(w2, p2[i]) + Math.imul(w3, p3[i]);
    }
  }
}

/**
 * sums += the plane under one kernel. No part of a sum is above 2^31 (section 5.2).
 * @param {Int32Array} sums [rows, columns]
 * @param {Int32Array} plane [rows + 2, columns + 2]
 * @param {number} columns
 * @param {Int32Array} weights [3, 3]
 */
function addKernel(sums, plane, columns, weights) {
  const [w0, w1, w2, w3, w4, w5, w6, w7, w8] = weights;
  const width = columns + 2;
  for (let to = 0, a = 0; to < sums.length; a += 2) {
    for (const end = to + columns; to < end; to++, a++) {
      const b = a + width;
      const c = b + width;
      sums[to] +=
        Math.imul(w0, plane[a]) +
        Math.imul(w1, plane[a + 1]) +
        Math.imul(w2, plane[a + 2]) +
        Math.imul(w3, plane[b]) +
        Math.imul(w4, plane[b + 1]) +
        Math.imul(w5, plane[b + 2]) +
        Math.imul(w6, plane[c]) +
        Math.imul(w7, plane[c + 1]) +
        Math.imul(w8, plane[c + 2]);
    }
  }
}

/**
 * rs of each sum; those that are shifted left are held.
 * @param {Int32Array} sums
 * @param {number} n
 */
function shift(sums, n) {
  if (n > 0) {
    const half = 1 << (n - 1);
    for (let i = 0; i < sums.length; i++) {
      sums[i] = (sums[i] + half) >> n;
    }
    return;
  }
  const scale = 2 ** -n;
  for (let i = 0; i < sums.length; i++) {
    sums[i] = Math.min(Math.max(sums[i] * scale, -HELD), HELD);
  }
}

/**
 * @param {FeatureMap} x changed in place
 * @returns {FeatureMap}
 */
function clipped(x) {
  const { values } = x;
  for (let i = 0; i < values.length; i++) {
    values[i] = clip(values[i]);
  }
  return x;
}

/**
 * Look up each value in the table of an activation.
 * @param {FeatureMap} x changed in place
 * @param {Int16Array} table
 * @returns {FeatureMap}
 */
function looked(x, table) {
  const { values } = x;
  for (let i = 0; i < values.length; i++) {
    values[i] = table[clip(values[i]) + LIMIT];
  }
  return x;
}

/**
 * Channels become rows and columns: channel (c s + a) s + b gives (s row + a, s column + b) of c.
 * @param {FeatureMap} x
 * @param {number} stride s
 * @returns {FeatureMap}
 */
function shuffled(x, stride) {
  const { rows, columns } = x;
  const values = new Int32Array(x.values.length);
  const width = columns * stride;
  for (let channel = 0, from = 0; channel < x.channels; channel++) {
    const b = channel % stride;
    const a = Math.floor(channel / stride) % stride;
    const c = Math.floor(channel / stride ** 2);
    for (let row = 0; row < rows; row++) {
      let to = ((c * rows + row) * stride + a) * width + b;
      for (let column = 0; column < columns; column++, from++, to += stride) {
        values[to] = x.values[from];
      }
    }
  }
  return { values, channels: x.channels / stride ** 2, rows: rows * stride, columns: width };
}

/**
 * x = clip(x + the smaller map, resized to it).
 * @param {FeatureMap} x changed in place
 * @param {FeatureMap} low
 */
function addResized(x, low) {
  const down = places(low.rows, x.rows);
  const right = places(low.columns, x.columns);
  let i = 0;
  for (let channel = 0; channel < x.channels; channel++) {
    for (let row = 0; row < x.rows; row++) {
      const above = (channel * low.rows + down.from[row]) * low.columns;
      const below = (channel * low.rows + down.to[row]) * low.columns;
      const a = down.part[row];
      for (let column = 0; column < x.columns; column++, i++) {
        const from = right.from[column];
        const to = right.to[column];
        const b = right.part[column];
        const sum =
          (256 - a) * ((256 - b) * low.values[above + from] + b * low.values[above + to]) +
          a * ((256 - b) * low.values[below + from] + b * low.values[below + to]);
        x.values[i] = clip(x.values[i] + ((sum + 32768) >> 16));
      }
    }
  }
}

/**
 * @param {FeatureMap} x
 * @param {Int16Array | null} more channels
 * @returns {FeatureMap}
 */
function appended(x, more) {
  if (more === null) {
    return x;
  }
  const values = new Int32Array(x.values.length + more.length);
  values.set(x.values);
  values.set(more, x.values.length);
  return { ...x, values, channels: values.length / (x.rows * x.columns) };
}

/**
 * @param {Layer} head
 * @param {FeatureMap} x
 * @param {number} fractionBits
 * @param {number} depth bits of a sample
 * @returns {Uint8Array | Uint16Array}
 */
function samplesOf(head, x, fractionBits, depth) {
  const table = sampleTable(depth);
  const drop = fractionBits + head.shift - sampleFractionBits(depth);
  const { values } = dense({ ...head, shift: drop }, x);
  const most = (table.length - 1) / 2;
  const samples = depth === 8 ? new Uint8Array(values.length) : new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    samples[i] = table[Math.min(Math.max(values[i], -most), most) + most];
  }
  return samples;
}
