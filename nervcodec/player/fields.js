// @ts-check
/** The tables of fields of a .nvpp file (sections 2.2 to 2.13 of nvpp-format.md). */

import { invalidField } from './errors.js';

/** @typedef {import('./bytes.js').ByteReader} ByteReader */
/** @typedef {[name: string, bytes: number, low?: number, high?: number]} Field */

const U32 = 4294967295;
const U31 = 2147483647;

/** @type {Field[]} */
export const HEADER = [
  ['width', 2, 1, 65535],
  ['height', 2, 1, 65535],
  ['frame_rate_numerator', 4, 1, U32],
  ['frame_rate_denominator', 4, 1, U32],
  ['n_frames', 4, 1, 16777216],
  ['aspect_numerator', 2, 1, 65535],
  ['aspect_denominator', 2, 1, 65535],
  ['layout', 1, 0, 4],
  ['bit_depth', 1, 0, 2],
  ['matrix', 1],
  ['primaries', 1],
  ['transfer', 1],
  ['range', 1, 0, 2],
  ['chroma_location', 1, 0, 6],
  ['arithmetic', 1, 0, 0],
  ['entropy_coder', 1, 0, 0],
  ['colorspace', 1, 0, 4],
  ['bits', 1, 2, 12],
  ['parts', 1, 0, 15],
  ['biases', 1, 0, 1],
  ['prior', 1],
  ['prior_crc', 4],
  ['stem', 1, 0, 1],
  ['stem_height', 2, 1, 4096],
  ['stem_width', 2, 1, 4096],
  ['stem_hidden', 2],
  ['stem_channels', 2, 0, 4096],
  ['motion_height', 2, 0, 4096],
  ['motion_width', 2, 0, 4096],
  ['wavelet_levels', 1, 0, 4],
  ['n_grids', 1, 0, 8],
  ['n_blocks', 1, 1, 8],
];

/** @type {Field[]} */
export const GRID = [
  ['grid_channels', 1, 1, 255],
  ['grid_interval', 2, 1, 65535],
  ['grid_level', 1, 0, 8],
];

/** @type {Field[]} */
export const BLOCK = [
  ['block_stride', 1, 1, 16],
  ['block_width', 2, 1, 4096],
];

/** @type {Field[]} */
export const SEGMENT_N_FRAMES = [['segment_n_frames', 4, 1, 16777216]];

/** @type {Field[]} */
export const SEGMENT = [
  ...SEGMENT_N_FRAMES,
  ['n_cuts', 2],
  ['fraction_bits', 1, 4, 10],
];

/** @type {Field[]} */
export const QUALITY = [
  ['psnr_y', 4],
  ['psnr_u', 4],
  ['psnr_v', 4],
  ['psnr_yuv', 4],
  ['psnr_rgb', 4],
  ['psnr_min', 4],
  ['ms_ssim', 4],
  ['epochs', 4],
];

/** @type {Field[]} */
export const CUT = [['cut', 4, 1, 16777215]];

/** @type {Field[]} */
export const STREAM = [['stream_length', 4, 1, U32]];

/** @type {Field[]} */
export const SOUND = [
  ['n_streams', 1, 1, 32],
  ['start_numerator', 4],
  ['start_denominator', 4, 1, U32],
];

/** @type {Field[]} */
export const SOUND_STREAM = [
  ['kind', 1, 0, 1],
  ['tick_numerator', 4, 1, U31],
  ['tick_denominator', 4, 1, U31],
  ['duration', 4],
  ['disposition', 4, 0, U31],
  ['codec_bytes', 1, 1, 255],
  ['language_bytes', 1],
  ['title_bytes', 1],
  ['extradata_bytes', 2],
];

/** @type {Field[]} */
export const PROPERTIES = [
  ['has_matrix', 1, 0, 1],
  ['has_mastering', 1, 0, 1],
  ['has_light', 1, 0, 1],
  ['field_order', 1, 0, 2],
  ['n_texts', 1, 0, 6],
];

/** @type {Field[]} */
export const DISPLAY_MATRIX = Array.from({ length: 9 }, (_, i) => [`matrix_${i}`, 4]);

/** @type {Field[]} */
export const MASTERING_DISPLAY = [
  ['red_x', 2],
  ['red_y', 2],
  ['green_x', 2],
  ['green_y', 2],
  ['blue_x', 2],
  ['blue_y', 2],
  ['white_x', 2],
  ['white_y', 2],
  ['max_luminance', 4],
  ['min_luminance', 4],
];

/** @type {Field[]} */
export const CONTENT_LIGHT = [
  ['max_cll', 2],
  ['max_fall', 2],
];

/** @type {Field[]} */
export const TEXT = [
  ['text_key', 1, 0, 5],
  ['text_bytes', 2, 1, 4096],
];

/**
 * Read a table of fields, each in its legal range.
 * @param {ByteReader} reader
 * @param {Field[]} table
 * @returns {Record<string, number>} by their names in the specification
 * @throws {import('./errors.js').NvppError} Truncated or InvalidField
 */
export function readFields(reader, table) {
  /** @type {Record<string, number>} */
  const values = {};
  for (const [name, bytes, low = 0, high = U32] of table) {
    const value = reader.unsigned(bytes);
    if (value < low || value > high) {
      throw invalidField(name, value, `${low} to ${high}`);
    }
    values[name] = value;
  }
  return values;
}
