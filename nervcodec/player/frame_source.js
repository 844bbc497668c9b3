// @ts-check
/** The frames of one file: several workers decode those that are wanted, a cache keeps them. */

import { FrameCache } from './frame_cache.js';

const MEMORY = 0.8; // weight of the past in the mean time of a frame

export class FrameSource {
  /**
   * @param {import('./decoder_client.js').DecoderClient[]} clients that have the file open
   * @param {(n: number) => {segment: number, frame: number, upscale: boolean}} locate finds a coded
   *   frame
   * @param {number} maxBytes of decoded pictures
   * @param {number} pictureBytes of one of them
   * @param {(n: number) => void} onFrame is called when a coded frame has been decoded
   * @param {(error: Error) => void} onError
   */
  constructor(clients, locate, maxBytes, pictureBytes, onFrame, onError) {
    this.idle = [...clients];
    this.clients = clients;
    this.locate = locate;
    this.cache = new FrameCache(maxBytes);
    this.onFrame = onFrame;
    this.onError = onError;
    this.turn = 0; // how often pictures were forgotten
    this.forget(pictureBytes);
    this.nDecoded = 0;
    this.seconds = 0; // mean of a frame's decoding
    this.isClosed = false;
  }

  /**
   * Forget all pictures, also those that are still to come: the next ones are others.
   * @param {number} pictureBytes of one of the next
   */
  forget(pictureBytes) {
    this.nAhead = Math.max(1, Math.floor(this.cache.maxBytes / pictureBytes) - 1);
    this.wanted = [];
    this.decoding = new Set();
    this.turn++;
    this.cache.clear();
  }

  /** Whether a coded frame can be drawn at once. */
  has(n) {
    return this.cache.has(n);
  }

  /** The ImageData of a coded frame that has been decoded. */
  picture(n) {
    return this.cache.get(n);
  }

  /** Ask for coded frames, the most urgent first, in place of those asked for before. */
  want(numbers) {
    this.wanted = numbers.slice(0, this.nAhead); // more would push each other out
    [...this.wanted].reverse().forEach((n) => this.cache.get(n));
    this.pump();
  }

  get isBusy() {
    return this.decoding.size > 0;
  }

  pump() {
    while (this.idle.length && !this.isClosed) {
      const n = this.wanted.find((each) => !this.cache.has(each) && !this.decoding.has(each));
      if (n === undefined) {
        return;
      }
      this.decode(this.idle.pop(), n);
    }
  }

  async decode(client, n) {
    this.decoding.add(n);
    const { turn } = this;
    const started = performance.now();
    try {
      const picture = await client.decode(this.locate(n));
      if (this.isClosed) {
        return;
      }
      this.idle.push(client);
      if (turn === this.turn) {
        const seconds = (performance.now() - started) / 1000;
        this.seconds = this.nDecoded ? MEMORY * this.seconds + (1 - MEMORY) * seconds : seconds;
        this.nDecoded++;
        this.cache.set(n, picture);
        this.decoding.delete(n);
        this.onFrame(n);
      }
    } catch (error) {
      if (!this.isClosed) {
        this.close();
        this.onError(error);
      }
    }
    this.pump();
  }

  close() {
    this.isClosed = true;
    this.clients.forEach((client) => client.close());
    this.cache.clear();
  }
}
