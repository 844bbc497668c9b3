// @ts-check
/** A .nvpp file that is open: its schedule, its shape, and the workers that decode it. */

import { openFile } from './container.js';
import { DecoderClient } from './decoder_client.js';
import { shapeOf } from './description.js';
import { FrameSource } from './frame_source.js';
import { Schedule } from './schedule.js';
import { loadKernels, loadPrior } from './surroundings.js';

const LARGE_PIXELS = 2 ** 21;
const MOST_WORKERS = 4;
const MOST_PIXELS = 2 ** 24; // of a frame that is upscaled
const CACHE_BYTES_A_GIB = 64 * 2 ** 20; // of the memory that the browser tells of

/** Names and texts of the engines that can be chosen. */
export const ENGINES = [
  ['auto', 'auto'],
  ['webgpu', 'WebGPU'],
  ['webgl', 'WebGL 2'],
  ['wasm', 'WebAssembly'],
  ['js', 'JavaScript'],
];

/** @typedef {Awaited<ReturnType<typeof openVideo>>} Video */

class OpenVideo {
  constructor(name, nBytes, file, source) {
    this.name = name;
    this.nBytes = nBytes;
    this.file = file;
    this.source = source;
    this.schedule = new Schedule(file);
    this.shape = shapeOf(file);
    this.isUpscaled = false;
  }

  /** Whether times between frames can be computed. */
  get hasTimesBetween() {
    return this.file.model.stem === 'grid';
  }

  /** Whether pictures of twice the size can be computed. */
  get hasUpscaling() {
    return this.hasTimesBetween && this.shape.width * this.shape.height <= MOST_PIXELS;
  }

  /**
   * Have pictures of twice the size from now on, or of that of the file.
   * @param {boolean} isUpscaled
   */
  upscale(isUpscaled) {
    this.isUpscaled = isUpscaled;
    this.source.forget(4 * this.shape.width * this.shape.height * (isUpscaled ? 4 : 1));
  }

  /**
   * What of picture n is no part of the file; empty for a frame as it is.
   * @param {number} n
   */
  mark(n) {
    const made = [];
    if (!Number.isInteger(this.schedule.codedFrame(n))) {
      made.push('in between');
    }
    if (this.isUpscaled) {
      made.push('upscaled (extrapolated)');
    }
    return made.length ? `${made.join(', ')}: not part of the file` : '';
  }

  /** The name of the engine that is used. */
  get engine() {
    return this.source.clients[0].engine;
  }

  /** Whether picture n of the schedule can be drawn at once. */
  isReady(n) {
    return this.source.has(this.schedule.codedFrame(n));
  }

  /** The ImageData of picture n, which is ready. */
  picture(n) {
    return this.source.picture(this.schedule.codedFrame(n));
  }

  /** Ask for pictures, the most urgent first. */
  want(numbers) {
    this.source.want([...new Set(numbers.map((n) => this.schedule.codedFrame(n)))]);
  }

  close() {
    this.source.close();
  }
}

/**
 * Check a file and start its workers.
 * @param {string} name that is shown
 * @param {Uint8Array} bytes
 * @param {{engine: string, onFrame: () => void, onError: (error: Error) => void}} settings
 * @throws {import('./errors.js').NvppError} a file that is damaged, foreign or too large
 */
export async function openVideo(name, bytes, { engine, onFrame, onError }) {
  const file = openFile(bytes);
  const prior = file.model.prior ? await loadPrior(file.model.prior) : null;
  const kernels = await loadKernels();
  const request = { bytes, prior, kernels, engine };
  const nPixels = file.header.width * file.header.height;
  const nCores = navigator.hardwareConcurrency || 2;
  const nWorkers = Math.max(1, Math.min(nPixels > LARGE_PIXELS ? 2 : MOST_WORKERS, nCores - 1));
  const clients = Array.from({ length: nWorkers }, () => new DecoderClient());
  try {
    await Promise.all(clients.map((client) => client.open(request)));
    const { deviceMemory = 4 } = /** @type {any} */ (navigator);
    const maxBytes = CACHE_BYTES_A_GIB * Math.min(deviceMemory, 4);
    const source = new FrameSource(
      clients,
      (n) => ({ ...file.locate(n), upscale: video.isUpscaled }),
      maxBytes,
      4 * nPixels,
      onFrame,
      onError,
    );
    const video = new OpenVideo(name, bytes.length, file, source);
    return video;
  } catch (error) {
    clients.forEach((client) => client.close());
    throw error;
  }
}
