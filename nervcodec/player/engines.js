// @ts-check
/** The engines that compute frames: all of them make the same samples. */

import { jsEngine } from './engine_js.js';
import { wasmEngine } from './engine_wasm.js';
import { Webgl, WebglDevice } from './engine_webgl.js';
import { Webgpu, webgpuDevice } from './engine_webgpu.js';
import { gpuEngine } from './gpu_plan.js';

/** @typedef {import('./network.js').EngineFactory} EngineFactory */
/** @typedef {import('./engine_js.js').Engine} Engine */
/** @typedef {'js' | 'wasm' | 'webgl' | 'webgpu'} EngineName */

/** @type {EngineFactory} */
const JS = { engineName: 'js', create: jsEngine };

/**
 * Load an engine.
 * @param {EngineName | 'auto'} name auto: 'webgpu' or else 'webgl' on a GPU as long as it proves
 *   right, else 'wasm', or 'js' on a machine without 128-bit SIMD
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
  if (name === 'webgl') {
    return loadWebgl(false);
  }
  if (name === 'wasm') {
    return loadWasm(kernels);
  }
  const sure = await loadWasm(kernels).catch(() => JS);
  /** @type {Promise<EngineFactory>[]} */
  const gpus = [];
  return {
    engineName: sure.engineName,
    create: (network) => {
      const fast = [loadWebgpu, loadWebgl].map((load, i) => async () => {
        gpus[i] ??= load(true);
        return (await gpus[i]).create(network);
      });
      return checkedEngine(fast, sure.create(network));
    },
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
  const device = await webgpuDevice(isHardware);
  return { engineName: 'webgpu', create: (network) => gpuEngine(new Webgpu(device), network) };
}

/**
 * @param {boolean} isHardware
 * @returns {Promise<EngineFactory>}
 */
async function loadWebgl(isHardware) {
  const device = new WebglDevice(isHardware);
  return { engineName: 'webgl', create: (network) => gpuEngine(new Webgl(device), network) };
}

/**
 * An engine that gives the first frame of a sure one, and then those of the first fast one whose
 * first frame is the same; where that one fails, the sure one goes on. Its name is that of the one
 * that gave the last frame.
 * @param {(() => Promise<Engine>)[]} fast what creates them, the best first
 * @param {Engine} sure
 * @returns {Engine}
 */
export function checkedEngine(fast, sure) {
  /** @type {Promise<Engine> | null} */
  let chosen = null;
  const engine = { name: sure.name, run };
  /** @type {Engine['run']} */
  async function run(inputs) {
    if (chosen === null) {
      const samples = await sure.run(inputs);
      chosen = sameEngine(fast, inputs, samples).then((found) => found ?? sure);
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
 * The first of the engines that gives the samples, null if all fail or give others.
 * @param {(() => Promise<Engine>)[]} fast
 * @param {(Int16Array | null)[]} inputs
 * @param {Uint8Array | Uint16Array} samples
 * @returns {Promise<Engine | null>}
 */
async function sameEngine(fast, inputs, samples) {
  await new Promise((resolve) => {
    setTimeout(resolve, 0); // who waits for the first frame gets it before
  });
  for (const create of fast) {
    try {
      const engine = await create();
      const found = await engine.run(inputs);
      if (found.every((value, i) => value === samples[i])) {
        return engine;
      }
    } catch {
      // The next one may do.
    }
  }
  return null;
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
