// @ts-check
/** The MD5 of frames (section 6.2 of nvpp-format.md; RFC 1321). */

import { NvppError } from './errors.js';

/** @typedef {import('./network.js').Frame} Frame */

const BLOCK = 64;
const SHIFTS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
];
const SINES = Int32Array.from({ length: 64 }, (_, i) =>
  Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0,
);
const ROTATIONS = Int32Array.from({ length: 64 }, (_, i) => SHIFTS[i >> 4][i & 3]);
const WORDS = Int32Array.from({ length: 64 }, (_, i) => {
  const round = i >> 4;
  return (round === 0 ? i : round === 1 ? 5 * i + 1 : round === 2 ? 3 * i + 5 : 7 * i) & 15;
});
const PLANE_ORDER_OF_RGB = [1, 2, 0]; // G, B, R

/** MD5 of bytes that come in parts. */
export class Md5 {
  constructor() {
    this.state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
    this.block = new Uint8Array(BLOCK);
    this.words = new Int32Array(BLOCK / 4);
    this.length = 0;
  }

  /**
   * @param {Uint8Array} bytes
   * @returns {this}
   */
  update(bytes) {
    let at = 0;
    const used = this.length % BLOCK;
    this.length += bytes.length;
    if (used > 0) {
      at = Math.min(BLOCK - used, bytes.length);
      this.block.set(bytes.subarray(0, at), used);
      if (used + at < BLOCK) {
        return this;
      }
      this.mix(this.block, 0);
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) {
      this.mix(bytes, at);
    }
    this.block.set(bytes.subarray(at));
    return this;
  }

  /** @returns {Uint8Array} the 16 bytes of the digest; nothing may be added after it */
  digest() {
    const bits = this.length * 8;
    const used = this.length % BLOCK;
    const tail = new Uint8Array((used < 56 ? 56 : 120) - used + 8);
    tail[0] = 0x80;
    const view = new DataView(tail.buffer);
    view.setUint32(tail.length - 8, bits % 2 ** 32, true);
    view.setUint32(tail.length - 4, Math.floor(bits / 2 ** 32), true);
    this.update(tail);
    const digest = new DataView(new ArrayBuffer(16));
    this.state.forEach((word, i) => digest.setInt32(4 * i, word, true));
    return new Uint8Array(digest.buffer);
  }

  /**
   * @param {Uint8Array} bytes
   * @param {number} at start of the block
   */
  mix(bytes, at) {
    const { state, words } = this;
    for (let i = 0, p = at; i < 16; i++, p += 4) {
      words[i] = bytes[p] | (bytes[p + 1] << 8) | (bytes[p + 2] << 16) | (bytes[p + 3] << 24);
    }
    let [a, b, c, d] = state;
    for (let i = 0; i < 64; i++) {
      const mixed =
        i < 16
          ? (b & c) | (~b & d)
          : i < 32
            ? (b & d) | (c & ~d)
            : i < 48
              ? b ^ c ^ d
              : c ^ (b | ~d);
      const sum = (a + mixed + SINES[i] + words[WORDS[i]]) | 0;
      const turn = ROTATIONS[i];
      a = d;
      d = c;
      c = b;
      b = (b + ((sum << turn) | (sum >>> (32 - turn)))) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
  }
}

/**
 * Add a frame to a digest of frames.
 * @param {Md5} md5
 * @param {Frame} frame
 * @param {number} colorspace of the network
 */
export function addFrame(md5, frame, colorspace) {
  const order = colorspace === 0 ? PLANE_ORDER_OF_RGB : frame.planes.keys();
  for (const index of order) {
    md5.update(bytesOf(frame.planes[index]));
  }
}

/**
 * Samples as bytes, those of two bytes little-endian.
 * @param {Uint8Array | Uint16Array} plane
 * @returns {Uint8Array}
 */
export function bytesOf(plane) {
  if (plane instanceof Uint8Array) {
    return plane;
  }
  const bytes = new Uint8Array(2 * plane.length);
  plane.forEach((sample, i) => {
    bytes[2 * i] = sample & 255;
    bytes[2 * i + 1] = sample >> 8;
  });
  return bytes;
}

/**
 * Refuse frames that are not those that the encoder saw.
 * @param {Md5} md5 of all frames of a segment
 * @param {Uint8Array | null} wanted what the segment says
 * @param {number} segmentIndex
 * @throws {NvppError} FramesDiffer
 */
export function checkDigest(md5, wanted, segmentIndex) {
  const digest = md5.digest();
  if (wanted !== null && wanted.some((byte, i) => byte !== digest[i])) {
    throw new NvppError(
      'FramesDiffer',
      `segment ${segmentIndex + 1}: the frames have the MD5 ${hexadecimal(digest)}, and the file says` +
        ` ${hexadecimal(wanted)}`,
    );
  }
}

/**
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function hexadecimal(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
