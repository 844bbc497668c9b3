// @ts-check
/** The engines that compute frames: 'js', 'wasm' and 'webgpu' make the same samples. */

import { jsEngine } from './engine_js.js';
import { wasmEngine } from './engine_wasm.js';
import { gpuDevice, webgpuEngine } from './engine_webgpu.js';

/** @typedef {import('./network.js').EngineFactory} EngineFactory */
/** @typedef {import('./engine_js.js').Engine} Engine */
/** @typedef {'js' | 'wasm' | 'webgpu'} EngineName */

/** @type {EngineFactory} */
const JS = { engineName: 'js', create: jsEngine };

/**
 * Load an engine.
 * @param {EngineName | 'auto'} name auto: 'webgpu' on a GPU as long as it proves right, else 'wasm',
 *   or 'js' on a machine without 128-bit SIMD
 * @param {BufferSource | null} kernels bytes of kernels.wasm, fetched from beside this module if
 *   they are not given
 * @returns {Promise<EngineFactory>}
 */
export async function loadEngine(name = 'auto', kernels = null) {
  if (name === 'js') {
    return JS;
  }
  if (name === 'webgpu') {
    return loadWebgpu(false);
  }
  if (name === 'wasm') {
    return loadWasm(kernels);
  }
  const sure = await loadWasm(kernels).catch(() => JS);
  const fast = await loadWebgpu(true).catch(() => null);
  return fast === null
    ? sure
    : {
        engineName: fast.engineName,
        create: (network) => checkedEngine(() => fast.create(network), sure.create(network)),
      };
}

/**
 * @param {BufferSource | null} kernels
 * @returns {Promise<EngineFactory>}
 */
async function loadWasm(kernels) {
  const module = await WebAssembly.compile(kernels ?? (await fetchKernels()));
  return { engineName: 'wasm', create: (network) => wasmEngine(module, network) };
}

/**
 * @param {boolean} isHardware
 * @returns {Promise<EngineFactory>}
 */
async function loadWebgpu(isHardware) {
  const device = await gpuDevice(isHardware);
  return { engineName: 'webgpu', create: (network) => webgpuEngine(device, network) };
}

/**
 * An engine that gives the first frame of a sure one, and then those of a fast one if its first
 * frame is the same; where the fast one fails, the sure one goes on. Its name is that of the one
 * that gave the last frame.
 * @param {() => Engine} createFast
 * @param {Engine} sure
 * @returns {Engine}
 */
export function checkedEngine(createFast, sure) {
  /** @type {Promise<Engine> | null} */
  let chosen = null;
  const engine = { name: sure.name, run };
  /** @type {Engine['run']} */
  async function run(inputs) {
    if (chosen === null) {
      const samples = await sure.run(inputs);
      chosen = sameEngine(createFast, inputs, samples).catch(() => sure);
      return samples;
    }
    const used = await chosen;
    engine.name = used.name;
    try {
      return await used.run(inputs);
    } catch {
      chosen = Promise.resolve(sure);
      engine.name = sure.name;
      return sure.run(inputs);
    }
  }
  return engine;
}

/**
 * @param {() => Engine} create
 * @param {(Int16Array | null)[]} inputs
 * @param {Uint8Array | Uint16Array} samples that it must give
 * @returns {Promise<Engine>}
 * @throws {Error} it gives others, or fails
 */
async function sameEngine(create, inputs, samples) {
  const engine = create();
  const found = await engine.run(inputs);
  if (found.some((value, i) => value !== samples[i])) {
    throw new Error(`${engine.name} makes other samples`);
  }
  return engine;
}

/** @returns {Promise<BufferSource>} */
async function fetchKernels() {
  const url = new URL('./kernels.wasm', import.meta.url);
  if (url.protocol === 'file:') {
    const { readFile } = await import('node:fs/promises');
    return readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url.pathname}: status ${response.status}`);
  }
  return response.arrayBuffer();
}
