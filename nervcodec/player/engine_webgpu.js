// @ts-check
/** The engine on WebGPU: blocks and head of a frame in 32-bit integers (sections 5.8, 5.9). */

import { LIMIT, activation, sampleFractionBits, sampleTable } from './integers.js';
import { channelsBehind, nPhases } from './model.js';

/** @typedef {import('./layers.js').Layer} Layer */
/** @typedef {import('./layers.js').Network} Network */
/** @typedef {import('./layers.js').Block} Block */
/** @typedef {import('./layers.js').Scrb} Scrb */
/** @typedef {import('./engine_js.js').Engine} Engine */

/**
 * @typedef {object} GpuMap values are int32 [channels, rows, columns]
 * @property {any} buffer
 * @property {number} channels
 * @property {number} rows
 * @property {number} columns
 *
 * @typedef {(pass: any) => void} Step
 */

const HELD = 20; // results that are shifted left are held within 2^HELD; what follows clips them
const GROUP = [16, 8]; // columns and rows of a workgroup
const COPY_SRC = 4;
const COPY_DST = 8;
const MAP_READ = 1;
const STORAGE = 128;
const TABLE = `extra[${clipped('v')} + ${LIMIT}]`; // of an activation

/**
 * Ask for a device.
 * @param {boolean} isHardware whether one that is computed by the processor is refused
 * @returns {Promise<any>} a GPUDevice
 * @throws {Error} there is none
 */
export async function gpuDevice(isHardware) {
  const { navigator } = /** @type {any} */ (globalThis);
  const adapter = await navigator?.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  const info = adapter?.info;
  if (!adapter || (isHardware && (info.isFallbackAdapter || info.architecture === 'swiftshader'))) {
    throw new Error('this browser has no WebGPU here; legal: auto, wasm, js');
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  return adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
}

/**
 * @param {any} device
 * @param {Network} network
 * @returns {Engine} whose `run` gives a promise
 */
export function webgpuEngine(device, network) {
  const plan = new Plan(device, network);
  return { name: 'webgpu', run: (inputs) => plan.run(inputs) };
}

/** The steps of a frame, and the buffers of its maps. */
class Plan {
  /**
   * @param {any} device
   * @param {Network} network
   */
  constructor(device, network) {
    const { model, blocks, head, fractionBits } = network;
    this.device = device;
    this.depth = model.depth;
    /** @type {Step[]} */
    this.steps = [];
    /** @type {any[]} */
    this.free = [];
    /** @type {{map: GpuMap, first: number}[]} */
    this.inputs = [];
    /** @type {Error | null} */
    this.failure = null;
    device.addEventListener('uncapturederror', (/** @type {any} */ event) => {
      this.failure ??= new Error(event.error.message);
    });
    this.gelu = this.constant(activation('gelu', fractionBits));
    this.silu = this.constant(activation('silu', fractionBits));
    let x = this.map(model.stemChannels, model.stemHeight, model.stemWidth);
    this.inputs.push({ map: x, first: 0 });
    blocks.forEach((block, i) => {
      x = this.block(block, x, channelsBehind(model, i + 1));
      this.inputs.push({ map: x, first: block.ub.outputs / block.stride ** 2 });
    });
    const shift = fractionBits + head.shift - sampleFractionBits(model.depth);
    const table = sampleTable(model.depth);
    const most = (table.length - 1) / 2;
    this.head = this.map(nPhases(model.colorspace), x.rows, x.columns);
    const result = `extra[clamp(v, -${most}, ${most}) + ${most}]`;
    this.convolve({ ...head, shift }, x, this.head, { result, extra: this.constant(table) });
    this.length = this.head.channels * x.rows * x.columns;
    this.staging = device.createBuffer({ size: 4 * this.length, usage: MAP_READ | COPY_DST });
  }

  /**
   * @param {(Int16Array | null)[]} inputs
   * @returns {Promise<Uint8Array | Uint16Array>}
   */
  async run(inputs) {
    const { device, staging, length } = this;
    this.inputs.forEach(({ map, first }, i) => {
      const values = inputs[i];
      if (values?.length) {
        const at = 4 * first * map.rows * map.columns;
        device.queue.writeBuffer(map.buffer, at, Int32Array.from(values));
      }
    });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    this.steps.forEach((step) => step(pass));
    pass.end();
    encoder.copyBufferToBuffer(this.head.buffer, 0, staging, 0, 4 * length);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_READ);
    const values = new Int32Array(staging.getMappedRange());
    const samples = this.depth === 8 ? Uint8Array.from(values) : Uint16Array.from(values);
    staging.unmap();
    if (this.failure !== null) {
      throw this.failure;
    }
    return samples;
  }

  /**
   * @param {ArrayLike<number>} values
   * @returns {any} a buffer that holds them as int32
   */
  constant(values) {
    const buffer = this.buffer(values.length);
    this.device.queue.writeBuffer(buffer, 0, Int32Array.from(values));
    return buffer;
  }

  /** @param {number} length int32 values */
  buffer(length) {
    const size = 4 * Math.max(length, 1);
    return this.device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
  }

  /**
   * @param {number} channels
   * @param {number} rows
   * @param {number} columns
   * @param {boolean} isBrief whether its buffer may be one that a map before it has released
   * @returns {GpuMap}
   */
  map(channels, rows, columns, isBrief = false) {
    const length = channels * rows * columns;
    const at = isBrief ? this.free.findIndex((buffer) => buffer.size >= 4 * length) : -1;
    const buffer = at < 0 ? this.buffer(length) : this.free.splice(at, 1)[0];
    return { buffer, channels, rows, columns };
  }

  /** @param {GpuMap} map that no later step reads */
  release(map) {
    this.free.push(map.buffer);
  }

  /**
   * @param {Block} block
   * @param {GpuMap} given
   * @param {number} channels of the result, with those of grids that are not there yet
   * @returns {GpuMap}
   */
  block(block, given, channels) {
    const { rows, columns } = given;
    const { stride, ub } = block;
    let low = given;
    if (block.pw !== null) {
      low = this.map(block.pw.outputs, rows, columns, true);
      this.convolve(block.pw, given, low);
    }
    let x = low;
    if (block.scrb1 !== null) {
      x = this.map(low.channels, rows, columns, true);
      this.scrb(block.scrb1, low, x);
    }
    const high = this.map(channels, rows * stride, columns * stride);
    const highRow = `(o / ${stride ** 2} * ${rows} + row) * ${stride} + o / ${stride} % ${stride}`;
    const place = `(${highRow}) * ${high.columns} + column * ${stride} + o % ${stride}`;
    this.convolve(ub, x, high, { result: TABLE, extra: this.silu, place });
    const own = { ...high, channels: ub.outputs / stride ** 2 };
    if (x !== low) {
      this.release(x);
    }
    if (block.scrb2 !== null) {
      this.scrb(block.scrb2, own, own);
    }
    if (block.skip) {
      this.addResized(own, low);
    }
    if (low !== given) {
      this.release(low);
    }
    return high;
  }

  /**
   * @param {Scrb} scrb
   * @param {GpuMap} x
   * @param {GpuMap} out may be x
   */
  scrb(scrb, x, out) {
    const inner = this.map(x.channels, x.rows, x.columns, true);
    const gelu = this.map(x.channels, x.rows, x.columns, true);
    this.convolve(scrb.dw, x, inner, { isDepthwise: true });
    this.convolve(scrb.pw1, inner, gelu, { result: TABLE, extra: this.gelu });
    const extra = x === out ? null : x.buffer;
    const result = clipped(extra === null ? 'out[at] + v' : 'extra[at] + v');
    this.convolve(scrb.pw2, gelu, out, { result, extra });
    this.release(inner);
    this.release(gelu);
  }

  /**
   * Plan a convolution; an invocation computes four channels of a pixel.
   * @param {Layer} layer
   * @param {GpuMap} x
   * @param {GpuMap} out
   * @param {{isDepthwise?: boolean, result?: string, extra?: any, place?: string}} options result:
   *   what is written, of v, the sum that is shifted; place: where, of o, row and column
   */
  convolve(layer, x, out, options = {}) {
    const { rows, columns } = x;
    const { isDepthwise = false, result = clipped('v'), extra = null } = options;
    const { kernel, outputs, shift } = layer;
    const { place = `(o * ${rows} + row) * ${columns} + column` } = options;
    const cells = rows * columns;
    const channel = (/** @type {number} */ k) =>
      `x[min(4 * block + ${k}, ${outputs - 1}) * ${cells} + p]`;
    const value = isDepthwise ? `vec4i(${[0, 1, 2, 3].map(channel)})` : `x[i * ${cells} + p]`;
    const n = Math.min(Math.abs(shift), shift > 0 ? 31 : HELD);
    const held = 2 ** (HELD - n);
    const source = [
      '@group(0) @binding(0) var<storage, read_write> out: array<i32>;',
      '@group(0) @binding(1) var<storage, read> x: array<i32>;',
      '@group(0) @binding(2) var<storage, read> w: array<vec4i>;',
      extra === null ? '' : '@group(0) @binding(3) var<storage, read> extra: array<i32>;',
      ...beginning(rows, columns),
      'let block = i32(id.z);',
      `var term = block * ${1 + (isDepthwise ? 1 : layer.inputs) * kernel ** 2};`,
      'var sum = w[term];',
      `for (var i = 0; i < ${isDepthwise ? 1 : layer.inputs}; i++) {`,
      `for (var tap = 0; tap < ${kernel ** 2}; tap++) {`,
      'term++;',
      `let y = row + tap / ${kernel} - ${kernel >> 1};`,
      `let z = column + tap % ${kernel} - ${kernel >> 1};`,
      `if (y >= 0 && y < ${rows} && z >= 0 && z < ${columns}) {`,
      `let p = y * ${columns} + z;`,
      `sum += w[term] * ${value};`,
      '}}}',
      shift > 0
        ? `sum = (sum + ${2 ** (n - 1)}) >> vec4u(${n});`
        : `sum = clamp(sum, vec4i(-${held}), vec4i(${held})) << vec4u(${n});`,
      `for (var k = 0; k < 4 && 4 * block + k < ${outputs}; k++) {`,
      'let o = 4 * block + k;',
      'let v = sum[k];',
      `let at = ${place};`,
      `out[at] = ${result};`,
      '}}',
    ];
    const buffers = [out.buffer, x.buffer, this.constant(terms(layer)), extra];
    this.step(source, buffers, rows, columns, Math.ceil(outputs / 4));
  }

  /**
   * x = clip(x + the smaller map, resized to it).
   * @param {GpuMap} x
   * @param {GpuMap} low
   */
  addResized(x, low) {
    const across = (/** @type {string} */ row) =>
      `let across${row} = (256 - partcolumn) * x[(c + ${row}) * ${low.columns} + fromcolumn]` +
      ` + partcolumn * x[(c + ${row}) * ${low.columns} + tocolumn];`;
    const source = [
      '@group(0) @binding(0) var<storage, read_write> out: array<i32>;',
      '@group(0) @binding(1) var<storage, read> x: array<i32>;',
      ...beginning(x.rows, x.columns),
      `let c = i32(id.z) * ${low.rows};`,
      ...places('row', low.rows, x.rows),
      ...places('column', low.columns, x.columns),
      across('fromrow'),
      across('torow'),
      'let v = ((256 - partrow) * acrossfromrow + partrow * acrosstorow + 32768) >> 16u;',
      `let at = (i32(id.z) * ${x.rows} + row) * ${x.columns} + column;`,
      `out[at] = ${clipped('out[at] + v')};`,
      '}',
    ];
    this.step(source, [x.buffer, low.buffer], x.rows, x.columns, x.channels);
  }

  /**
   * @param {string[]} source lines of WGSL
   * @param {any[]} buffers by their bindings; null: there is none
   * @param {number} rows
   * @param {number} columns
   * @param {number} depth invocations for each pixel
   */
  step(source, buffers, rows, columns, depth) {
    const { device } = this;
    const module = device.createShaderModule({ code: source.join('\n') });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    const entries = buffers.flatMap((buffer, binding) =>
      buffer === null ? [] : [{ binding, resource: { buffer } }],
    );
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    const counts = [Math.ceil(columns / GROUP[0]), Math.ceil(rows / GROUP[1]), depth];
    this.steps.push((pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...counts);
    });
  }
}

/** @param {string} value */
function clipped(value) {
  return `clamp(${value}, -${LIMIT}, ${LIMIT})`;
}

/**
 * The first lines of a shader of which an invocation stands for a pixel.
 * @param {number} rows
 * @param {number} columns
 */
function beginning(rows, columns) {
  return [
    `@compute @workgroup_size(${GROUP})`,
    'fn main(@builtin(global_invocation_id) id: vec3u) {',
    'let column = i32(id.x);',
    'let row = i32(id.y);',
    `if (column >= ${columns} || row >= ${rows}) { return; }`,
  ];
}

/**
 * Lines that find a row or column of a larger map in a smaller one (integers.js, places).
 * @param {string} name of the row or column
 * @param {number} n of the smaller map
 * @param {number} size of the larger one
 */
function places(name, n, size) {
  return [
    `let p${name} = max((2 * ${name} + 1) * ${n} - ${size}, 0);`,
    `let from${name} = p${name} / ${2 * size};`,
    `let to${name} = min(from${name} + 1, ${n - 1});`,
    `let part${name} = (256 * (p${name} % ${2 * size}) + ${size}) / ${2 * size};`,
  ];
}

/**
 * Biases and weights of four outputs each: [outputs / 4, 1 + terms, 4].
 * @param {Layer} layer
 * @returns {Int32Array}
 */
function terms({ outputs, biases, weights }) {
  const nTerms = weights.length / outputs;
  const packed = new Int32Array(Math.ceil(outputs / 4) * (1 + nTerms) * 4);
  for (let o = 0; o < outputs; o++) {
    const at = (o >> 2) * (1 + nTerms) * 4 + (o & 3);
    packed[at] = biases[o];
    for (let i = 0; i < nTerms; i++) {
      packed[at + 4 * (i + 1)] = weights[o * nTerms + i];
    }
  }
  return packed;
}
