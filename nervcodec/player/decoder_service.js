// @ts-check
/** What a worker of the player does for its page: opens a file, decodes frames, cancels. */

import { openFile } from './container.js';
import { loadEngine } from './engines.js';
import { NvppError } from './errors.js';
import { SegmentDecoder } from './network.js';
import { RgbaConverter } from './yuv.js';

/** @typedef {import('./container.js').NvppFile} NvppFile */
/** @typedef {import('./network.js').EngineFactory} EngineFactory */

/**
 * @typedef {object} OpenMessage answered by {type: 'opened', id, engine, header, model, nFrames,
 *   frameRate, segments: [{nFrames, shots, quality}]}
 * @property {'open'} type
 * @property {number} id that the answer has, too
 * @property {Uint8Array} bytes of the file
 * @property {Uint8Array | null} [prior] bytes of nervcodec/nn/priors/1.npy
 * @property {import('./engines.js').EngineName | 'auto'} [engine]
 * @property {BufferSource | null} [kernels] bytes of kernels.wasm, if they are not beside the module
 * @property {Partial<import('./limits.js').Limits>} [limits]
 *
 * @typedef {object} DecodeMessage answered by {type: 'frame', id, segment, frame, planes, widths,
 *   heights, engine, rgba}; planes or rgba is null
 * @property {'decode'} type
 * @property {number} id
 * @property {number} segment from 0
 * @property {number} frame of the segment, from 0; in between in 16ths
 * @property {boolean} [rgba] whether RGBA is wanted in place of the planes
 * @property {boolean} [upscale] whether twice the rows and columns are wanted
 *
 * @typedef {object} CancelMessage drops all decodes that have not begun, each answered by
 *   {type: 'cancelled', id}
 * @property {'cancel'} type
 * @property {number} [id] of one decode; all without it
 *
 * @typedef {OpenMessage | DecodeMessage | CancelMessage} Message
 * @typedef {(answer: object, transfer: Transferable[]) => void} Post
 */

const SEGMENTS_HELD = 2;

/** Handles messages one after the other; cancels come before what waits. */
export class DecoderService {
  /** @param {Post} post sends an answer; an error is {type: 'error', id, kind, message} */
  constructor(post) {
    this.post = post;
    /** @type {(OpenMessage | DecodeMessage)[]} */
    this.waiting = [];
    this.isBusy = false;
    /** @type {NvppFile | null} */
    this.file = null;
    /** @type {RgbaConverter | null} */
    this.converter = null;
    /** @type {Uint8Array | null} */
    this.prior = null;
    /** @type {EngineFactory | undefined} */
    this.engine = undefined;
    /** @type {Map<number, SegmentDecoder>} */
    this.decoders = new Map();
  }

  /** @param {Message} message */
  receive(message) {
    if (message.type === 'cancel') {
      this.cancel(message.id);
      return;
    }
    this.waiting.push(message);
    if (!this.isBusy) {
      this.isBusy = true;
      void this.work();
    }
  }

  /** @param {number | undefined} id */
  cancel(id) {
    const isDropped = (/** @type {OpenMessage | DecodeMessage} */ message) =>
      message.type === 'decode' && (id === undefined || message.id === id);
    const dropped = this.waiting.filter(isDropped);
    this.waiting = this.waiting.filter((message) => !isDropped(message));
    for (const message of dropped) {
      this.post({ type: 'cancelled', id: message.id }, []);
    }
  }

  async work() {
    for (;;) {
      // Let messages in that came during the last frame: a cancel may be among them.
      await new Promise((resolve) => {
        setTimeout(resolve, 0);
      });
      const message = this.waiting.shift();
      if (message === undefined) {
        this.isBusy = false;
        return;
      }
      try {
        await (message.type === 'open' ? this.open(message) : this.decode(message));
      } catch (error) {
        this.post({ type: 'error', id: message.id, ...describe(error) }, []);
      }
    }
  }

  /** @param {OpenMessage} message */
  async open(message) {
    this.file = null;
    this.decoders.clear();
    const file = openFile(message.bytes, message.limits);
    this.engine = await loadEngine(message.engine ?? 'auto', message.kernels ?? null);
    this.prior = message.prior ?? null;
    this.file = file;
    this.converter = new RgbaConverter(file.header, file.model);
    this.post(
      {
        type: 'opened',
        id: message.id,
        engine: this.engine.engineName,
        header: file.header,
        model: file.model,
        nFrames: file.nFrames,
        frameRate: file.frameRate,
        segments: file.segments.map(({ nFrames, shots, quality }) => ({ nFrames, shots, quality })),
      },
      [],
    );
  }

  /** @param {DecodeMessage} message */
  async decode(message) {
    const { id, segment, frame } = message;
    const decoder = this.decoder(segment);
    const made = await (message.upscale ? decoder.upscale(frame) : decoder.decode(frame));
    const decoded = { ...made, engine: decoder.engine.name };
    if (message.rgba === true && this.converter !== null) {
      const rgba = this.converter.convert(decoded);
      const answer = { type: 'frame', id, segment, frame, ...decoded, planes: null, rgba };
      this.post(answer, [rgba.buffer]);
      return;
    }
    this.post(
      { type: 'frame', id, segment, frame, ...decoded, rgba: null },
      decoded.planes.map((plane) => /** @type {ArrayBuffer} */ (plane.buffer)),
    );
  }

  /**
   * @param {number} segment
   * @returns {SegmentDecoder}
   */
  decoder(segment) {
    if (this.file === null) {
      throw new RangeError('no file is open');
    }
    if (!Number.isInteger(segment) || segment < 0 || segment >= this.file.segments.length) {
      throw new RangeError(`segment is ${segment}; legal: 0 to ${this.file.segments.length - 1}`);
    }
    let decoder = this.decoders.get(segment);
    if (decoder === undefined) {
      decoder = new SegmentDecoder(this.file, segment, { prior: this.prior, engine: this.engine });
      if (this.decoders.size >= SEGMENTS_HELD) {
        this.decoders.delete([...this.decoders.keys()][0]);
      }
      this.decoders.set(segment, decoder);
    }
    return decoder;
  }
}

/**
 * @param {unknown} error
 * @returns {{kind: string, message: string}}
 */
function describe(error) {
  if (error instanceof NvppError) {
    return { kind: error.kind, message: error.message };
  }
  return error instanceof Error
    ? { kind: error.name, message: error.message }
    : { kind: 'Error', message: String(error) };
}
