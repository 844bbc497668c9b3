// @ts-check
/** What a file says of itself, in the words of `nervcodec info`. */

import { SOUND, SOUND_STREAM } from './fields.js';
import { bytesText, count } from './info_panel.js';
import { timeText } from './schedule.js';

const LAYOUTS = ['yuv420', 'rgb', 'yuv422', 'yuv444', 'gray'];
const COLORSPACES = ['rgb', 'yuv420', 'yuv422', 'yuv444', 'gray'];
const RANGES = ['unspecified', 'limited', 'full'];
const SECTION_OVERHEAD = 9; // type, length and checksum
const INDEX_ENTRY = 5;
const NOT_MEASURED = 4294967295;

/**
 * @typedef {object} Shape
 * @property {number} width of the decoded frames, pixels
 * @property {number} height
 * @property {number} aspect width of a pixel over its height
 * @property {boolean} isTurned whether rows are shown as columns
 * @property {number[] | null} matrix by which frames are turned and mirrored, null for none
 */

/** @param {import('./container.js').NvppFile} file @returns {Shape} */
export function shapeOf(file) {
  const { width, height, aspect_numerator, aspect_denominator } = file.header;
  const matrix = turning(file.properties?.matrix);
  return {
    width,
    height,
    aspect: aspect_numerator / aspect_denominator,
    isTurned: matrix !== null && Math.abs(matrix[1]) > Math.abs(matrix[0]),
    matrix,
  };
}

/** Turn and mirror by quarters, without scale: [a, b, c, d], null where nothing changes. */
function turning(stored) {
  if (!stored) {
    return null;
  }
  const [a, b, , c, d] = stored;
  const parts = Math.abs(b) > Math.abs(a) ? [0, b, c, 0] : [a, 0, 0, d];
  const matrix = parts.map(Math.sign);
  const isWhole = matrix[0] * matrix[3] !== matrix[1] * matrix[2];
  return isWhole && (matrix[0] < 1 || matrix[3] < 1) ? matrix : null;
}

/**
 * Rows of names and values.
 * @param {string} name of the file
 * @param {number} nBytes
 * @param {import('./container.js').NvppFile} file
 * @param {number} duration seconds
 */
export function describe(name, nBytes, file, duration) {
  const { header, model } = file;
  const pictureBytes = nBytes - soundBytes(file);
  const pixels = header.width * header.height * file.nFrames;
  return [
    ['file', name],
    ['bytes', bytesText(nBytes)],
    ['rate', `${((8 * pictureBytes) / pixels).toFixed(5)} bpp, ${rateText(pictureBytes, duration)}`],
    ['video', `${header.width}x${header.height}, ${LAYOUTS[header.layout]}, ${model.depth} bits`],
    ['frames', frameText(file)],
    ['duration', timeText(duration)],
    [
      'colour',
      `matrix ${header.matrix}, primaries ${header.primaries}, transfer ${header.transfer},` +
        ` range ${RANGES[header.range]}`,
    ],
    ...soundRows(file),
    ...(file.properties?.texts ?? []).map(({ key, text }) => [key, text]),
    ['segments', count(file.segments.length)],
    ['network', networkText(model)],
    ...qualityRows(file),
  ];
}

/** What a user should know of sound that cannot be played. */
export function soundNote(file, reason) {
  const codecs = file.sound.streams
    .filter((stream) => stream.table.kind === 0)
    .map((stream) => stream.codec);
  return (
    `This file has sound (${codecs.join(', ')}), which is not played: ${reason};` +
    ' nervcodec decode writes it with the picture.'
  );
}

/** Bytes of the section of sound, with what frames it and its entry in the index. */
function soundBytes({ sound }) {
  if (!sound) {
    return 0;
  }
  const texts = ['codec_bytes', 'language_bytes', 'title_bytes', 'extradata_bytes'];
  const streams = sound.streams.map(
    ({ table }) => sizeOf(SOUND_STREAM) + texts.reduce((sum, name) => sum + table[name], 0),
  );
  const payload = sizeOf(SOUND) + streams.reduce((a, b) => a + b, 0) + sound.nut.length;
  return payload + SECTION_OVERHEAD + INDEX_ENTRY;
}

function sizeOf(table) {
  return table.reduce((sum, [, bytes]) => sum + bytes, 0);
}

function soundRows(file) {
  return (file.sound?.streams ?? []).map((stream) => [
    stream.table.kind === 0 ? 'sound' : 'subtitles',
    [stream.codec, stream.language, stream.title].filter(Boolean).join(', '),
  ]);
}

function frameText(file) {
  const nCoded = file.segments.reduce((sum, segment) => sum + segment.nFrames, 0);
  const coded = nCoded < file.nFrames ? ` (${count(nCoded)} of them coded)` : '';
  const varies = file.times?.steps.length ? ' in the mean' : '';
  return `${count(file.nFrames)}${coded}, ${Number(file.frameRate.toFixed(3))} a second${varies}`;
}

function rateText(nBytes, duration) {
  return `${((8 * nBytes) / 1000 / duration).toFixed(1)} kbit/s`;
}

function networkText(model) {
  const grids = (level) =>
    level
      ? model.grids
          .filter((grid) => grid.level === level)
          .map((grid) => `grid of ${grid.channels}`)
      : [];
  const parts = [
    COLORSPACES[model.colorspace],
    `${model.stem} stem ${model.stemHeight}x${model.stemWidth}x${model.stemChannels}`,
    ...grids(0),
    ...model.blocks.flatMap(({ stride, width }, i) => [`block x${stride} ${width}`, ...grids(i + 1)]),
  ];
  if (model.motionHeight) {
    parts.push(`motion ${model.motionHeight}x${model.motionWidth}`);
  }
  if (model.prior) {
    parts.push(`prior ${model.prior}`);
  }
  return parts.join(', ');
}

/** Means over the segments, each weighted by the frames that it shows. */
function qualityRows(file) {
  const weights = shownFrames(file);
  const rows = [];
  for (const [field, name] of [
    ['psnr_y', 'PSNR Y'],
    ['psnr_rgb', 'PSNR RGB'],
  ]) {
    const values = file.segments.map((segment) => segment.quality[field]);
    if (!values.includes(NOT_MEASURED)) {
      const sum = values.reduce((all, value, i) => all + weights[i] * value, 0);
      rows.push([name, `${(sum / file.nFrames / 10000).toFixed(2)} dB, by the encoder`]);
    }
  }
  return rows;
}

/** How many frames each segment shows. */
function shownFrames(file) {
  if (!file.repeats) {
    return file.segments.map((segment) => segment.nFrames);
  }
  const counts = file.segments.map(() => 0);
  for (let n = 0; n < file.nFrames; n++) {
    counts[file.locate(file.codedFrame(n)).segment]++;
  }
  return counts;
}
