// @ts-check
/** The engines that compute frames: 'js', 'wasm' and 'webgpu' make the same samples. */

import { jsEngine } from './engine_js.js';
import { wasmEngine } from './engine_wasm.js';
import { gpuDevice, webgpuEngine } from './engine_webgpu.js';

/** @typedef {import('./network.js').EngineFactory} EngineFactory */
/** @typedef {'js' | 'wasm' | 'webgpu'} EngineName */

/** @type {EngineFactory} */
const JS = { engineName: 'js', create: jsEngine };

/**
 * Load an engine.
 * @param {EngineName | 'auto'} name auto: 'wasm', or 'js' on a machine without 128-bit SIMD
 * @param {BufferSource | null} kernels bytes of kernels.wasm, fetched from beside this module if
 *   they are not given
 * @returns {Promise<EngineFactory>}
 */
export async function loadEngine(name = 'auto', kernels = null) {
  if (name === 'js') {
    return JS;
  }
  if (name === 'webgpu') {
    const device = await gpuDevice(false);
    return { engineName: 'webgpu', create: (network) => webgpuEngine(device, network) };
  }
  try {
    const module = await WebAssembly.compile(kernels ?? (await fetchKernels()));
    return { engineName: 'wasm', create: (network) => wasmEngine(module, network) };
  } catch (error) {
    if (name === 'auto') {
      return JS;
    }
    throw error;
  }
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
