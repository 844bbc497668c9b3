// @ts-check
/** The page's end of a worker that decodes one file. */

import { NvppError } from './errors.js';
import { startWorker } from './surroundings.js';

export class DecoderClient {
  constructor() {
    this.worker = startWorker();
    this.pending = null;
    this.engine = ''; // the one that is used, as its last answer says
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.fail(new Error(`the decoder stopped: ${event.message ?? 'its script did not load'}`));
    };
  }

  /**
   * Open a file.
   * @param {object} request
   * @param {Uint8Array} request.bytes
   * @param {Uint8Array | null} request.prior weights that the file needs
   * @param {Uint8Array} request.kernels of the engine in WebAssembly
   * @param {string} request.engine its name, or 'auto'
   */
  async open(request) {
    await this.ask({ type: 'open', ...request });
  }

  /**
   * Decode a frame of a segment.
   * @param {{segment: number, frame: number, upscale: boolean}} place from 0, and whether twice as
   *   many rows and columns are wanted
   * @returns {Promise<ImageData>}
   */
  async decode(place) {
    const answer = await this.ask({ type: 'decode', ...place, rgba: true });
    return new ImageData(answer.rgba, answer.widths[0], answer.heights[0]);
  }

  close() {
    this.worker.terminate();
    this.fail(new Error('closed'));
  }

  ask(message) {
    return new Promise((resolve, reject) => {
      this.pending = { resolve, reject };
      this.worker.postMessage({ ...message, id: 0 }); // one at a time
    });
  }

  receive(data) {
    if (data.type === 'error') {
      this.fail(data.kind ? new NvppError(data.kind, data.message) : new Error(data.message));
    } else {
      this.engine = data.engine;
      this.pending?.resolve(data);
    }
  }

  fail(error) {
    this.pending?.reject(error);
    this.pending = null;
  }
}
