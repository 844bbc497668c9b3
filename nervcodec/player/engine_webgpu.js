// @ts-check
/** The engine on WebGPU: a map is a buffer, and an invocation gives four channels of a pixel. */

import { Stores } from './gpu_plan.js';
import { wgsl } from './gpu_steps.js';

/** @typedef {import('./gpu_plan.js').GpuMap} GpuMap */
/** @typedef {import('./gpu_plan.js').StepName} StepName */
/** @typedef {import('./gpu_plan.js').Gpu} Gpu */

const GROUP = [16, 8]; // columns and rows of a workgroup
const COPY_SRC = 4;
const COPY_DST = 8;
const MAP_READ = 1;
const STORAGE = 128;
const COMPUTE = 4;
const READ = 'read-only-storage';
const BINDINGS = ['storage', READ, READ, READ, READ];
const BEGINNING = [
  '@group(0) @binding(0) var<storage, read_write> result: array<vec4i>;',
  '@group(0) @binding(1) var<storage, read> buffer1: array<vec4i>;',
  '@group(0) @binding(2) var<storage, read> buffer2: array<vec4i>;',
  '@group(0) @binding(3) var<storage, read> buffer3: array<vec4i>;',
  '@group(0) @binding(4) var<storage, read> buffer4: array<i32>;',
  'fn corner(map: vec2i, tile: i32) -> vec2i { return vec2i(0, tile * map.y); }',
  'fn pixel(place: vec2i) -> vec4i { return buffer1[place.y * pixels.x + place.x]; }',
  'fn other(place: vec2i) -> vec4i { return buffer2[place.y * others.x + place.x]; }',
  'fn weight(i: i32) -> vec4i { return buffer3[i]; }',
  'fn item(i: i32) -> i32 { return buffer4[i]; }',
  `@compute @workgroup_size(${GROUP})`,
  'fn main(@builtin(global_invocation_id) id: vec3u) {',
  'let p = vec2i(id.xy);',
  'if (p.x >= size.x || p.y >= size.y) { return; }',
  'let place = corner(size, i32(id.z)) + p;',
  'result[place.y * size.x + place.x] = value(i32(id.z), p);',
  '}',
];

/** A device, and the buffers that the maps of all networks on it share. */
export class WebgpuDevice {
  /** @param {any} device a GPUDevice */
  constructor(device) {
    this.device = device;
    this.layout = device.createBindGroupLayout({
      entries: BINDINGS.map((type, binding) => ({
        binding,
        visibility: COMPUTE,
        buffer: { type },
      })),
    });
    /** @type {any[]} */
    this.stores = [];
    /** @type {Error | null} */
    this.failure = null;
    device.addEventListener('uncapturederror', (/** @type {any} */ event) => {
      this.failure ??= new Error(event.error.message);
    });
  }
}

/**
 * Ask for a device.
 * @param {boolean} isHardware whether one that is computed by the processor is refused
 * @returns {Promise<WebgpuDevice>}
 * @throws {Error} there is none
 */
export async function webgpuDevice(isHardware) {
  const { navigator } = /** @type {any} */ (globalThis);
  const adapter = await navigator?.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  const info = adapter?.info;
  if (!adapter || (isHardware && (info.isFallbackAdapter || info.architecture === 'swiftshader'))) {
    throw new Error('this browser has no WebGPU here; legal: auto, webgl, wasm, js');
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const requiredLimits = { maxBufferSize, maxStorageBufferBindingSize };
  return new WebgpuDevice(await adapter.requestDevice({ requiredLimits }));
}

/**
 * The steps of a network.
 * @implements {Gpu}
 */
export class Webgpu {
  /** @param {WebgpuDevice} shared */
  constructor(shared) {
    this.name = 'webgpu';
    this.shared = shared;
    this.device = shared.device;
    this.stores = new Stores(shared.stores);
    /** @type {((pass: any) => void)[]} */
    this.steps = [];
  }

  /**
   * @param {GpuMap} head
   * @returns {Promise<Int32Array>} what it has
   */
  async run(head) {
    const { device } = this;
    const { data } = head.store;
    const { size } = data;
    const staging = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    this.steps.forEach((step) => step(pass));
    pass.end();
    encoder.copyBufferToBuffer(data, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_READ);
    const values = new Int32Array(staging.getMappedRange()).slice();
    staging.destroy();
    if (this.shared.failure !== null) {
      throw this.shared.failure;
    }
    return values;
  }

  /** @param {number} length int32 values */
  buffer(length) {
    const size = 16 * Math.ceil(length / 4);
    return this.device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
  }

  /**
   * @param {ArrayLike<number>} values
   * @param {number} lanes
   * @param {any} list
   * @returns {any} a buffer
   */
  list(values, lanes = 1, list = this.buffer(values.length)) {
    this.device.queue.writeBuffer(list, 0, Int32Array.from(values));
    return list;
  }

  /**
   * @param {number} channels
   * @param {number} rows
   * @param {number} columns
   * @returns {GpuMap}
   */
  map(channels, rows, columns) {
    const length = 4 * Math.ceil(channels / 4) * rows * columns;
    const store = this.stores.take(`${length}`, () => ({ data: this.buffer(length) }));
    return { store, channels, rows, columns, across: 1 };
  }

  /**
   * @param {StepName} name
   * @param {GpuMap} out
   * @param {any[]} read
   * @param {Record<string, GpuMap>} shapes
   * @param {Record<string, number>} constants
   */
  step(name, out, read, shapes, constants) {
    const { device, shared } = this;
    const { store, columns, rows, channels } = out;
    const code = [
      ...BEGINNING,
      ...Object.entries(shapes).map(
        ([key, map]) => `const ${key} = vec2i(${map.columns}, ${map.rows});`,
      ),
      ...Object.entries(constants).map(([key, value]) =>
        // A vector is shifted by a vector.
        /right|left/.test(key) ? `const ${key} = vec4u(${value});` : `const ${key} = ${value};`,
      ),
      'fn value(block: i32, p: vec2i) -> vec4i {',
      wgsl(name),
      '}',
    ].join('\n');
    const module = device.createShaderModule({ code });
    const layout = device.createPipelineLayout({ bindGroupLayouts: [shared.layout] });
    const pipeline = device.createComputePipeline({ layout, compute: { module } });
    const entries = [store.data, ...read].map((buffer, binding) => ({
      binding,
      resource: { buffer },
    }));
    const group = device.createBindGroup({ layout: shared.layout, entries });
    const counts = [columns / GROUP[0], rows / GROUP[1], channels / 4].map(Math.ceil);
    this.steps.push((pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...counts);
    });
  }
}
