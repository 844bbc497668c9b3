// @ts-check
/** The container of a .nvpp file with every check of section 2 of nvpp-format.md. */

import { ByteReader } from './bytes.js';
import { NvppError, invalidField, quotedBytes } from './errors.js';
import { readProperties, readRepeats, readSound, readTimes } from './extras.js';
import {
  BLOCK,
  CUT,
  GRID,
  HEADER,
  QUALITY,
  SEGMENT,
  SEGMENT_N_FRAMES,
  STREAM,
  readFields,
} from './fields.js';
import { modelOf } from './legal.js';
import { checkLimits } from './limits.js';
import { checkPrior } from './prior.js';
import { Timeline } from './timeline.js';

/** @typedef {import('./model.js').Model} Model */

/**
 * @typedef {object} Segment
 * @property {number} nFrames
 * @property {number[]} shots frames of each shot
 * @property {number} fractionBits of the values of feature maps
 * @property {Uint8Array | null} md5 of its frames (section 6.2), null if the encoder did not say
 * @property {Record<string, number>} quality fields of section 2.8; 4294967295: not measured
 * @property {Uint8Array[]} streams of stem, block1, .., head
 *
 * @typedef {object} Extras
 * @property {import('./extras.js').Repeats} [repeats]
 * @property {import('./extras.js').Times} [times]
 * @property {import('./extras.js').Sound} [sound]
 * @property {import('./extras.js').Properties} [properties]
 */

const MAGIC = Uint8Array.of(0x89, 0x4e, 0x56, 0x50, 0x50, 0x0d, 0x0a, 0x1a);
const VERSION = 1;
const MAX_SECTIONS = 1048576;
const SMALLEST_ENTRY = 5;
const SEGMENT_TYPE = 1;
/** @type {Map<number, keyof Extras>} */
const EXTRAS = new Map([
  [2, 'repeats'],
  [130, 'times'],
  [132, 'sound'],
  [133, 'properties'],
]);

/** A file whose container is whole. Its streams are not decoded yet. */
export class NvppFile {
  /**
   * @param {Record<string, number>} header fields under their names in the specification
   * @param {Model} model
   * @param {Segment[]} segments
   * @param {Extras} extras
   */
  constructor(header, model, segments, extras) {
    this.header = header;
    this.model = model;
    this.segments = segments;
    this.repeats = extras.repeats ?? null;
    this.times = extras.times ?? null;
    this.sound = extras.sound ?? null;
    this.properties = extras.properties ?? null;
    /** Frames that are shown. */
    this.nFrames = header.n_frames;
    /** Frames a second, or their average. */
    this.frameRate = header.frame_rate_numerator / header.frame_rate_denominator;
    this.timeline = new Timeline(this.nFrames, this.repeats, this.times, this.frameRate);
  }

  /**
   * The coded frame of a shown one.
   * @param {number} shown from 0
   * @returns {number} number within the file, from 0
   */
  codedFrame(shown) {
    return this.timeline.codedFrame(shown);
  }

  /**
   * Where a coded frame is.
   * @param {number} coded number within the file, from 0
   * @returns {{segment: number, frame: number}} frame: its number within the segment
   */
  locate(coded) {
    let frame = coded;
    for (const [segment, { nFrames }] of this.segments.entries()) {
      if (frame < nFrames) {
        return { segment, frame };
      }
      frame -= nFrames;
    }
    throw new RangeError(`coded frame is ${coded}, which the file does not have`);
  }

  /**
   * When a shown frame begins.
   * @param {number} shown from 0; nFrames gives the end of the last
   * @returns {number} seconds
   */
  timeOf(shown) {
    return this.timeline.timeOf(shown);
  }
}

/**
 * Read a file and check all of it but its streams.
 * @param {Uint8Array} bytes the whole file; segments and sound are views of it
 * @param {Partial<import('./limits.js').Limits>} limits those that are not the default
 * @returns {NvppFile}
 * @throws {NvppError}
 */
export function openFile(bytes, limits = {}) {
  const reader = new ByteReader(bytes, 'file');
  readMagic(reader);
  const { header, model } = readHeader(reader);
  const entries = readIndex(reader);
  /** @type {Segment[]} */
  const segments = [];
  /** @type {Extras} */
  const extras = {};
  for (const entry of entries) {
    const payload = readSection(reader, entry);
    if (entry.type === SEGMENT_TYPE) {
      segments.push(readSegment(payload, model, entry.frames));
    } else {
      readExtra(payload, entry.type, extras, header.n_frames);
    }
  }
  reader.finish();
  checkFrames(header.n_frames, segments, extras.repeats);
  const shots = segments.map((segment) => segment.shots);
  checkLimits(model, header.n_frames, shots, limits);
  return new NvppFile(header, model, segments, extras);
}

/** @param {ByteReader} reader */
function readMagic(reader) {
  const start = reader.bytes.subarray(0, MAGIC.length);
  if (start.length === 0 || start.some((byte, i) => byte !== MAGIC[i])) {
    throw new NvppError('BadMagic', `not a .nvpp file: it starts with ${quotedBytes(start)}`);
  }
  if (start.length < MAGIC.length) {
    throw new NvppError('Truncated', `file: it ends after ${start.length} bytes`);
  }
  reader.take(MAGIC.length);
  if (reader.left < 4) {
    reader.take(4);
  }
}

/**
 * @param {ByteReader} reader
 * @returns {{header: Record<string, number>, model: Model}}
 */
function readHeader(reader) {
  const version = reader.unsigned(2);
  if (version !== VERSION) {
    throw new NvppError(
      'UnsupportedVersion',
      `format version ${version}; this program reads version ${VERSION}`,
    );
  }
  const fields = new ByteReader(reader.take(reader.unsigned(2)), 'header');
  reader.checksum(0);
  const header = readFields(fields, HEADER);
  const grids = Array.from({ length: header.n_grids }, () => readFields(fields, GRID));
  const blocks = Array.from({ length: header.n_blocks }, () => readFields(fields, BLOCK));
  fields.finish();
  checkPrior(header);
  return { header, model: modelOf(header, grids, blocks) };
}

/**
 * @param {ByteReader} reader
 * @returns {{type: number, length: number, frames: number}[]} frames: those of a segment
 */
function readIndex(reader) {
  const start = reader.position;
  const nSections = reader.unsigned(4);
  if (nSections < 1 || nSections > MAX_SECTIONS) {
    throw invalidField('n_sections', nSections, `1 to ${MAX_SECTIONS}`);
  }
  if (nSections * SMALLEST_ENTRY > reader.left) {
    throw new NvppError('Truncated', `index: ${nSections} entries, ${reader.left} bytes left`);
  }
  const entries = Array.from({ length: nSections }, () => {
    const type = reader.unsigned(1);
    const length = reader.unsigned(4);
    return { type, length, frames: type === SEGMENT_TYPE ? reader.take(4) : null };
  });
  reader.checksum(start);
  return entries.map(({ type, length, frames }) => ({
    type,
    length,
    frames:
      frames === null
        ? 0
        : readFields(new ByteReader(frames, 'index'), SEGMENT_N_FRAMES).segment_n_frames,
  }));
}

/**
 * @param {ByteReader} reader
 * @param {{type: number, length: number}} entry of the index
 * @returns {Uint8Array} payload
 */
function readSection(reader, entry) {
  const start = reader.position;
  const type = reader.unsigned(1);
  const length = reader.unsigned(4);
  if (type !== entry.type || length !== entry.length) {
    throw invalidField(
      'section type and length',
      `(${type}, ${length})`,
      `(${entry.type}, ${entry.length}), as the index says`,
    );
  }
  const payload = reader.take(length);
  reader.checksum(start);
  return payload;
}

/**
 * @param {Uint8Array} payload
 * @param {Model} model
 * @param {number} framesOfEntry what the index says
 * @returns {Segment}
 */
function readSegment(payload, model, framesOfEntry) {
  const reader = new ByteReader(payload, 'segment');
  const { segment_n_frames: nFrames, n_cuts, fraction_bits } = readFields(reader, SEGMENT);
  if (nFrames !== framesOfEntry) {
    throw invalidField('segment_n_frames', nFrames, `${framesOfEntry}, as the index says`);
  }
  const digest = reader.take(16);
  const quality = readFields(reader, QUALITY);
  /** @type {number[]} */
  const shots = [];
  let start = 0;
  for (let i = 0; i < n_cuts; i++) {
    const { cut } = readFields(reader, CUT);
    if (cut <= start || cut >= nFrames) {
      throw invalidField('cut', cut, `${start + 1} to ${nFrames - 1}`);
    }
    shots.push(cut - start);
    start = cut;
  }
  shots.push(nFrames - start);
  const streams = Array.from({ length: model.blocks.length + 2 }, () =>
    reader.take(readFields(reader, STREAM).stream_length),
  );
  reader.finish();
  return {
    nFrames,
    shots,
    fractionBits: fraction_bits,
    md5: digest.every((byte) => byte === 255) ? null : digest,
    quality,
    streams,
  };
}

/**
 * @param {Uint8Array} payload
 * @param {number} type
 * @param {Extras} extras to which it is added
 * @param {number} nFrames of the header
 */
function readExtra(payload, type, extras, nFrames) {
  const name = EXTRAS.get(type);
  if (name === undefined) {
    if (type < 128) {
      throw invalidField('section_type', type, '1, 2, or 128 and above');
    }
    return;
  }
  if (extras[name] !== undefined) {
    throw invalidField(`number of ${name} sections`, 2, '0 or 1');
  }
  if (name === 'repeats') {
    extras.repeats = readRepeats(payload);
  } else if (name === 'times') {
    extras.times = readTimes(payload, nFrames);
  } else if (name === 'sound') {
    extras.sound = readSound(payload);
  } else {
    extras.properties = readProperties(payload);
  }
}

/**
 * Refuse frames that are not as many as the header says.
 * @param {number} nFrames of the header
 * @param {Segment[]} segments
 * @param {import('./extras.js').Repeats | undefined} repeats
 */
function checkFrames(nFrames, segments, repeats) {
  const coded = segments.reduce((sum, segment) => sum + segment.nFrames, 0);
  if (repeats === undefined) {
    if (nFrames !== coded) {
      throw invalidField('n_frames', nFrames, `${coded}, the sum over the segments`);
    }
    return;
  }
  const { codedFrames, shownTimes } = repeats;
  const repeated = codedFrames.reduce((sum, n) => sum + n, 0);
  if (repeated !== coded) {
    throw invalidField('frames with repeats', repeated, `${coded}, the sum over the segments`);
  }
  const shown = codedFrames.reduce((sum, n, i) => sum + n * shownTimes[i], 0);
  if (nFrames !== shown) {
    throw invalidField('n_frames', nFrames, `${shown}, the sum over the repeats`);
  }
}
