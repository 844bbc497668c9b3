// @ts-check
/** Sections beside the segments: repeats, times, sound, properties (sections 2.10 to 2.13). */

import { ByteReader } from './bytes.js';
import { invalidField } from './errors.js';
import {
  CONTENT_LIGHT,
  DISPLAY_MATRIX,
  MASTERING_DISPLAY,
  PROPERTIES,
  SOUND,
  SOUND_STREAM,
  TEXT,
  readFields,
} from './fields.js';

const MAX_FRAMES = 16777216;
const MAX_TIME_BASE = 2147483647;
const MAX_START = 2 ** 53;
const U32 = 4294967295;
const TEXT_KEYS = ['title', 'artist', 'date', 'creation_time', 'comment', 'description'];

/**
 * @typedef {object} Repeats runs of coded frames that are shown equally often
 * @property {number[]} codedFrames of each run
 * @property {number[]} shownTimes of each of its frames
 *
 * @typedef {object} Times when shown frames begin, in units of numerator / denominator seconds
 * @property {number} numerator
 * @property {number} denominator
 * @property {number} start time of frame 0
 * @property {number} lastDuration of the last frame, 0 for unknown
 * @property {number[]} steps of each run of frames
 * @property {number[]} counts how many frames begin a step after the one before
 *
 * @typedef {object} SoundStream
 * @property {Record<string, number>} table fields of table SoundStream
 * @property {string} codec
 * @property {string} language
 * @property {string} title
 * @property {Uint8Array} extradata
 *
 * @typedef {object} Sound
 * @property {Record<string, number>} table fields of table Sound
 * @property {SoundStream[]} streams
 * @property {Uint8Array} nut a NUT file
 *
 * @typedef {object} Properties
 * @property {Record<string, number>} table fields of table Properties
 * @property {number[] | null} matrix nine signed numbers, in units of their fields
 * @property {Record<string, number> | null} mastering
 * @property {Record<string, number> | null} light
 * @property {{key: string, text: string}[]} texts
 */

/**
 * @param {Uint8Array} payload
 * @returns {Repeats}
 */
export function readRepeats(payload) {
  const reader = new ByteReader(payload, 'repeats');
  /** @type {Repeats} */
  const repeats = { codedFrames: [], shownTimes: [] };
  while (reader.left > 0) {
    repeats.codedFrames.push(reader.varint('coded_frames', 1, MAX_FRAMES));
    repeats.shownTimes.push(reader.varint('shown_times', 1, MAX_FRAMES));
  }
  return repeats;
}

/**
 * @param {Uint8Array} payload
 * @param {number} nFrames that are shown
 * @returns {Times}
 */
export function readTimes(payload, nFrames) {
  const reader = new ByteReader(payload, 'times');
  /** @type {Times} */
  const times = {
    numerator: reader.varint('time_base_numerator', 1, MAX_TIME_BASE),
    denominator: reader.varint('time_base_denominator', 1, MAX_TIME_BASE),
    start: reader.varint('start', 0, MAX_START),
    lastDuration: reader.varint('last_duration', 0, U32),
    steps: [],
    counts: [],
  };
  let step = 0;
  let frames = 1;
  while (reader.left > 0) {
    const head = reader.varint('head', 0, Infinity);
    const h = Math.floor(head / 2);
    step += h % 2 === 0 ? h / 2 : -(h + 1) / 2;
    if (step < 1 || step > U32) {
      throw invalidField('step', step, `1 to ${U32}`);
    }
    const count = head % 2 === 0 ? 1 : 2 + reader.varint('more', 0, U32 - 2);
    times.steps.push(step);
    times.counts.push(count);
    frames += count;
  }
  if (times.steps.length > 0 && frames !== nFrames) {
    throw invalidField('frames with times', frames, `${nFrames}, as n_frames says`);
  }
  return times;
}

/**
 * @param {Uint8Array} payload
 * @returns {Sound}
 */
export function readSound(payload) {
  const reader = new ByteReader(payload, 'sound');
  const table = readFields(reader, SOUND);
  const streams = Array.from({ length: table.n_streams }, () => {
    const stream = readFields(reader, SOUND_STREAM);
    return {
      table: stream,
      codec: reader.text(stream.codec_bytes, 'codec of a stream'),
      language: reader.text(stream.language_bytes, 'language of a stream'),
      title: reader.text(stream.title_bytes, 'title of a stream'),
      extradata: reader.take(stream.extradata_bytes),
    };
  });
  if (reader.left === 0) {
    throw invalidField('bytes of sound packets', 0, 'at least 1');
  }
  return { table, streams, nut: reader.take(reader.left) };
}

/**
 * @param {Uint8Array} payload
 * @returns {Properties}
 */
export function readProperties(payload) {
  const reader = new ByteReader(payload, 'properties');
  const table = readFields(reader, PROPERTIES);
  const matrix = table.has_matrix ? readFields(reader, DISPLAY_MATRIX) : null;
  const properties = {
    table,
    matrix: matrix === null ? null : Object.values(matrix).map((value) => value | 0),
    mastering: table.has_mastering ? readFields(reader, MASTERING_DISPLAY) : null,
    light: table.has_light ? readFields(reader, CONTENT_LIGHT) : null,
    texts: Array.from({ length: table.n_texts }, () => {
      const { text_key, text_bytes } = readFields(reader, TEXT);
      const key = TEXT_KEYS[text_key];
      return { key, text: reader.text(text_bytes, `text of ${key}`) };
    }),
  };
  reader.finish();
  return properties;
}
