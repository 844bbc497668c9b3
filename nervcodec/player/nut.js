// @ts-check
/** Packets of a NUT file, version 2 or 3, as FFmpeg writes it (section 2.12 of nvpp-format.md). */

import { ByteReader } from './bytes.js';
import { NvppError } from './errors.js';

const IDENTIFIER = 'nut/multimedia container\0';
const START = 78; // the first byte of what is no packet
const [MAIN, STREAM, SYNCPOINT] = [77, 83, 75]; // its second byte
const LONG_BYTES = 4096; // beyond, a part's size has a checksum, and a packet has no common head
const CODED_PTS = 8;
const STREAM_ID = 16;
const SIZE_MSB = 32;
const CHECKSUM = 64;
const RESERVED = 128;
const SIDE_DATA = 256;
const HEADER_INDEX = 1024;
const MATCH_TIME = 2048;
const CODED_FLAGS = 4096;
const INVALID = 8192;

/**
 * @typedef {object} NutStream
 * @property {number} numerator of the unit of times, s
 * @property {number} denominator
 * @property {number} shift bits of a short time
 * @property {Uint8Array} extradata of the codec
 * @property {number} rate samples a second, 0 if it is no audio
 * @property {number} channels
 * @property {number} last time, in its unit
 *
 * @typedef {object} NutPacket
 * @property {number} stream from 0
 * @property {number} time in the unit of its stream
 * @property {Uint8Array} data
 *
 * @typedef {object} Code what a first byte of a packet says
 * @property {number} flags
 * @property {number} step from the time before
 * @property {number} factor of the coded size
 * @property {number} stream
 * @property {number} size
 * @property {number} reserved numbers that are skipped
 * @property {number} head
 */

/**
 * @param {Uint8Array} bytes
 * @returns {{streams: NutStream[], packets: NutPacket[]}}
 * @throws {NvppError} bytes that are damaged, or that FFmpeg does not write
 */
export function readNut(bytes) {
  const nut = new Nut(new ByteReader(bytes, 'NUT file'));
  if (String.fromCharCode(...nut.reader.take(IDENTIFIER.length)) !== IDENTIFIER) {
    throw wrong('identifier');
  }
  while (nut.reader.left > 0) {
    const first = nut.reader.unsigned(1);
    if (first === START) {
      nut.readPart();
    } else {
      nut.readPacket(first);
    }
  }
  return { streams: nut.streams, packets: nut.packets };
}

class Nut {
  /** @param {ByteReader} reader */
  constructor(reader) {
    this.reader = reader;
    /** @type {number[][]} */
    this.bases = [];
    /** @type {(Code | null)[]} */
    this.codes = [];
    /** @type {Uint8Array[]} common first bytes of packets */
    this.heads = [];
    /** @type {NutStream[]} */
    this.streams = [];
    /** @type {NutPacket[]} */
    this.packets = [];
  }

  readPart() {
    const [kind] = this.reader.take(7);
    const length = number(this.reader);
    if (length > LONG_BYTES) {
      this.reader.take(4);
    }
    const part = new ByteReader(this.reader.take(length), 'part of the NUT file');
    if (kind === MAIN && this.codes.length === 0) {
      this.readMain(part);
    } else if (kind === STREAM) {
      this.readStream(part);
    } else if (kind === SYNCPOINT) {
      this.readSyncpoint(part);
    }
  }

  /** @param {ByteReader} part */
  readMain(part) {
    const version = number(part);
    if (version < 2 || version > 3) {
      throw wrong(`version ${version}`);
    }
    skip(part, 2);
    for (let n = number(part); n > 0; n--) {
      this.bases.push([number(part), number(part)]);
    }
    let [step, factor, stream, head] = [0, 1, 0, 0];
    while (this.codes.length < 256) {
      const flags = number(part);
      /** @type {number[]} */
      const given = [];
      for (let n = number(part); given.length < n; ) {
        given.push(given.length === 0 || given.length === 6 ? signed(part) : number(part));
      }
      step = given[0] ?? step;
      factor = given[1] ?? factor;
      stream = given[2] ?? stream;
      const size = given[3] ?? 0;
      const reserved = given[4] ?? 0;
      const count = given[5] ?? factor - size;
      head = given[7] ?? head;
      for (let j = 0; j < count && this.codes.length < 256; j++) {
        if (this.codes.length === START) {
          this.codes.push(null);
        }
        this.codes.push({ flags, step, factor, stream, size: size + j, reserved, head });
      }
    }
    this.heads.push(new Uint8Array(0));
    for (let n = number(part); n > 0; n--) {
      this.heads.push(part.take(number(part)));
    }
  }

  /** @param {ByteReader} part */
  readStream(part) {
    const id = number(part);
    const isAudio = number(part) === 1;
    part.take(number(part));
    const base = this.bases[number(part)];
    const shift = number(part);
    skip(part, 3);
    const extradata = part.take(number(part));
    const [samples, seconds, channels] = isAudio
      ? [number(part), number(part), number(part)]
      : [0, 1, 0];
    if (base === undefined || !base[0] || !base[1] || id > this.streams.length || shift > 32) {
      throw wrong('stream');
    }
    const [numerator, denominator] = base;
    const rate = samples / seconds;
    this.streams[id] ??= { numerator, denominator, shift, extradata, rate, channels, last: 0 };
  }

  /** @param {ByteReader} part */
  readSyncpoint(part) {
    const coded = number(part);
    const [numerator, denominator] = this.bases[coded % this.bases.length] ?? [0, 1];
    const ticks = Math.floor(coded / this.bases.length) * numerator;
    for (const stream of this.streams) {
      stream.last = Math.floor((ticks * stream.denominator) / (denominator * stream.numerator));
    }
  }

  /** @param {number} first byte of the packet */
  readPacket(first) {
    const { reader } = this;
    const code = this.codes[first];
    if (!code || code.flags & INVALID) {
      throw wrong(`byte ${first}`);
    }
    const flags = code.flags & CODED_FLAGS ? code.flags ^ number(reader) : code.flags;
    const id = flags & STREAM_ID ? number(reader) : code.stream;
    const stream = this.streams[id];
    if (stream === undefined || flags & SIDE_DATA) {
      throw wrong(`packet of stream ${id}`);
    }
    stream.last = flags & CODED_PTS ? timeOf(number(reader), stream) : stream.last + code.step;
    const size = code.size + (flags & SIZE_MSB ? code.factor * number(reader) : 0);
    skip(reader, flags & MATCH_TIME ? 1 : 0);
    const index = flags & HEADER_INDEX ? number(reader) : code.head;
    skip(reader, flags & RESERVED ? number(reader) : code.reserved);
    reader.take(flags & CHECKSUM ? 4 : 0);
    const head = this.heads[size > LONG_BYTES ? 0 : index];
    if (head === undefined || head.length > size) {
      throw wrong(`size ${size}`);
    }
    let data = reader.take(size - head.length);
    if (head.length > 0) {
      data = Uint8Array.of(...head, ...data);
    }
    if (size > 0) {
      this.packets.push({ stream: id, time: stream.last, data });
    }
  }
}

/**
 * A time of which the low bits are given, that near the last one, or all.
 * @param {number} coded
 * @param {NutStream} stream
 * @returns {number}
 */
function timeOf(coded, { shift, last }) {
  const span = 2 ** shift;
  const low = last - Math.floor((span - 1) / 2);
  return coded < span ? low + ((((coded - low) % span) + span) % span) : coded - span;
}

/**
 * @param {ByteReader} reader
 * @returns {number} 7 bits a byte, the highest first
 */
function number(reader) {
  for (let value = 0; ; ) {
    const byte = reader.unsigned(1);
    value = value * 128 + (byte & 127);
    if (value > 2 ** 64) {
      throw wrong(`number ${value}`);
    }
    if (byte < 128) {
      return value;
    }
  }
}

/**
 * @param {ByteReader} reader
 * @returns {number} 1, -1, 2, -2, .. of 1, 2, 3, 4, ..
 */
function signed(reader) {
  const value = number(reader) + 1;
  return value % 2 ? -(value - 1) / 2 : value / 2;
}

/**
 * @param {ByteReader} reader
 * @param {number} n numbers
 */
function skip(reader, n) {
  for (let i = 0; i < n; i++) {
    number(reader);
  }
}

/**
 * @param {string} what
 * @returns {NvppError}
 */
function wrong(what) {
  return new NvppError('InvalidField', `its NUT file has a ${what} that is not legal`);
}
