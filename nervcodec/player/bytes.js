// @ts-check
/** Reading of bytes: integers, varints, texts and CRC-32 (section 1.2 of nvpp-format.md). */

import { NvppError, invalidField, quoted, quotedBytes } from './errors.js';

const CRC_TABLE = new Int32Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) {
    crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return crc;
});

/**
 * The CRC-32 of zlib and PNG.
 * @param {Uint8Array} bytes
 * @returns {number} unsigned
 */
export function crc32(bytes) {
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) {
    crc = CRC_TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/** A place in bytes whose name stands in the errors. */
export class ByteReader {
  /**
   * @param {Uint8Array} bytes
   * @param {string} name of the bytes, as 'file' or 'header'
   */
  constructor(bytes, name) {
    this.bytes = bytes;
    this.name = name;
    this.position = 0;
  }

  /** Bytes that are not read yet. */
  get left() {
    return this.bytes.length - this.position;
  }

  /**
   * The next bytes, not copied.
   * @param {number} length
   * @returns {Uint8Array}
   * @throws {NvppError} Truncated
   */
  take(length) {
    if (length > this.left) {
      throw new NvppError(
        'Truncated',
        `${this.name}: ${length} bytes wanted at byte ${this.position}, ${this.left} there`,
      );
    }
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  /**
   * A little-endian unsigned integer of 1, 2 or 4 bytes.
   * @param {number} length
   * @returns {number}
   */
  unsigned(length) {
    return this.take(length).reduceRight((value, byte) => value * 256 + byte, 0);
  }

  /**
   * A varint (section 1.2); legal values are exact, since none is above 2^53.
   * @param {string} field for the error
   * @param {number} low least legal value
   * @param {number} high greatest legal value
   * @returns {number}
   */
  varint(field, low, high) {
    let value = 0n;
    for (let n = 0; ; n++) {
      const byte = this.unsigned(1);
      value |= BigInt(byte & 127) << BigInt(7 * n);
      if (byte < 128) {
        if (byte === 0 && n > 0) {
          throw invalidField(field, value, 'no more bytes than it needs');
        }
        break;
      }
      if (n === 8) {
        throw invalidField(field, value, 'at most 9 bytes');
      }
    }
    if (value < low || value > high) {
      throw invalidField(field, value, `${low} to ${high}`);
    }
    return Number(value);
  }

  /**
   * A text in UTF-8 without a zero character.
   * @param {number} length
   * @param {string} field for the error
   * @returns {string}
   */
  text(length, field) {
    const bytes = this.take(length);
    let text = '';
    try {
      text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw invalidField(field, quotedBytes(bytes), 'UTF-8');
    }
    if (text.includes('\0')) {
      throw invalidField(field, quoted(text), 'UTF-8 without a zero character');
    }
    return text;
  }

  /**
   * Refuse bytes that are left over.
   * @throws {NvppError} InvalidField
   */
  finish() {
    if (this.left > 0) {
      throw invalidField(
        `length of ${this.name}`,
        this.bytes.length,
        `${this.position}, as its fields say`,
      );
    }
  }

  /**
   * Read the CRC-32 of the bytes from start to here.
   * @param {number} start
   * @throws {NvppError} Checksum
   */
  checksum(start) {
    const at = this.position;
    const wanted = this.unsigned(4);
    if (crc32(this.bytes.subarray(start, at)) !== wanted) {
      throw new NvppError(
        'Checksum',
        `${this.name}: the checksum at byte ${at} does not match; the file is damaged`,
      );
    }
  }
}
