// @ts-check
/** The network that a header describes, if it is a legal one (section 2.5 of nvpp-format.md). */

import { invalidField } from './errors.js';
import { channelsOfLevel, strideOf } from './model.js';
import { fitsPrior } from './prior.js';

/** @typedef {import('./model.js').Model} Model */

const COLORSPACES = ['rgb', 'yuv420', 'yuv422', 'yuv444', 'gray'];
const LAYOUTS = ['yuv420', 'rgb', 'yuv422', 'yuv444', 'gray'];
const RGB = 0;

/**
 * The network that a header describes.
 * @param {Record<string, number>} header fields of the header
 * @param {Record<string, number>[]} grids tables Grid
 * @param {Record<string, number>[]} blocks tables Block
 * @returns {Model}
 * @throws {import('./errors.js').NvppError} InvalidField if section 2.5 forbids it
 */
export function modelOf(header, grids, blocks) {
  checkUnused(header);
  /** @type {Model} */
  const model = {
    width: header.width,
    height: header.height,
    colorspace: header.colorspace,
    depth: 8 + 2 * header.bit_depth,
    bits: header.bits,
    parts: {
      pw: (header.parts & 1) !== 0,
      scrb1: (header.parts & 2) !== 0,
      scrb2: (header.parts & 4) !== 0,
      skip: (header.parts & 8) !== 0,
    },
    lean: header.biases === 1,
    prior: header.prior,
    stem: header.stem === 0 ? 'mlp' : 'grid',
    stemHeight: header.stem_height,
    stemWidth: header.stem_width,
    stemHidden: header.stem_hidden,
    stemChannels: header.stem_channels,
    motionHeight: header.motion_height,
    motionWidth: header.motion_width,
    waveletLevels: header.wavelet_levels,
    grids: grids.map((grid) => ({
      channels: grid.grid_channels,
      interval: grid.grid_interval,
      level: grid.grid_level,
    })),
    blocks: blocks.map((block) => ({ stride: block.block_stride, width: block.block_width })),
  };
  const unfit = misfit(model, header.layout);
  if (unfit !== null) {
    const mark = unfit.includes("'") ? '"' : "'";
    throw invalidField('model', `${mark}${unfit}${mark}`, 'a network that covers the frame');
  }
  if (model.stem === 'grid') {
    model.stemChannels = channelsOfLevel(model, 0);
  }
  return model;
}

/**
 * Refuse fields that the stem or the lack of a prior leaves without a use.
 * @param {Record<string, number>} header
 */
function checkUnused(header) {
  const names =
    header.stem === 0
      ? ['n_grids', 'motion_height', 'motion_width', 'wavelet_levels']
      : ['stem_hidden', 'stem_channels'];
  for (const name of names) {
    if (header[name] !== 0) {
      throw invalidField(name, header[name], `0 with stem ${header.stem === 0 ? 'mlp' : 'grid'}`);
    }
  }
  if (header.prior === 0 && header.prior_crc !== 0) {
    throw invalidField('prior_crc', header.prior_crc, '0 without a prior');
  }
}

/**
 * Why a network cannot be, or null.
 * @param {Model} model
 * @param {number} layout of the source
 * @returns {string | null}
 */
function misfit(model, layout) {
  return (
    misfitOfStem(model) ??
    misfitOfMotion(model) ??
    misfitOfParts(model) ??
    misfitOfColorspace(model, layout) ??
    misfitOfSize(model) ??
    (model.prior === 0 || fitsPrior(model)
      ? null
      : `prior is ${model.prior}, which is not for this network; legal: 0`)
  );
}

/**
 * @param {Model} model
 * @returns {string | null}
 */
function misfitOfStem(model) {
  if (model.stem === 'mlp') {
    if (model.stemHidden === 0) {
      return 'stem hidden units is 0; legal: 1 to 65535';
    }
    return model.stemChannels === 0 ? 'stem channels is 0; legal: 1 to 4096' : null;
  }
  if (model.grids.length === 0) {
    return 'number of grids is 0; legal: 1 to 8';
  }
  const highest = Math.max(...model.grids.map((grid) => grid.level));
  if (highest > model.blocks.length) {
    return `highest grid level is ${highest}; legal: 0 to ${model.blocks.length}`;
  }
  return channelsOfLevel(model, 0) === 0
    ? 'number of grids of level 0 is 0; legal: 1 to 8'
    : null;
}

/**
 * @param {Model} model
 * @returns {string | null}
 */
function misfitOfMotion(model) {
  const { motionHeight, motionWidth, waveletLevels } = model;
  if (motionHeight === 0) {
    if (motionWidth !== 0) {
      return `motion width without a height is ${motionWidth}; legal: 0 to 0`;
    }
    return waveletLevels === 0 ? null : `wavelet levels is ${waveletLevels}; legal: 0 to 0`;
  }
  if (motionWidth === 0) {
    return 'motion width is 0; legal: 1 to 4096';
  }
  const moving = model.grids.filter((grid) => grid.level > 0);
  if (moving.length === 0) {
    return 'number of grids that move is 0; legal: 1 to 8';
  }
  const intervals = new Set(moving.map((grid) => grid.interval)).size;
  return intervals > 1
    ? `number of intervals of grids that move is ${intervals}; legal: 1 to 1`
    : null;
}

/**
 * @param {Model} model
 * @returns {string | null}
 */
function misfitOfParts(model) {
  const { pw, scrb1, scrb2, skip } = model.parts;
  if (!skip || pw) {
    return null;
  }
  const parts = [...(scrb1 ? ['scrb1'] : []), ...(scrb2 ? ['scrb2'] : []), 'skip'];
  return `parts are ${parts.join(', ')}; legal: a skip only with pw, whose output it takes`;
}

/**
 * @param {Model} model
 * @param {number} layout
 * @returns {string | null}
 */
function misfitOfColorspace(model, layout) {
  const own = LAYOUTS[layout];
  const legal = ['rgb'];
  if (own === 'rgb') {
    legal.push('yuv420');
  } else {
    legal.push(own);
    if (own !== 'gray') {
      legal.push('gray');
    }
  }
  const name = COLORSPACES[model.colorspace];
  return legal.includes(name)
    ? null
    : `colorspace of layout ${own} is ${name}; legal: ${legal.join(', ')}`;
}

/**
 * @param {Model} model
 * @returns {string | null}
 */
function misfitOfSize(model) {
  const stride = strideOf(model, model.blocks.length);
  const halves = model.colorspace === RGB ? 1 : 2;
  const columns = Math.ceil(model.width / halves);
  const rows = Math.ceil(model.height / halves);
  const width = model.stemWidth * stride;
  const height = model.stemHeight * stride;
  return width < columns || height < rows
    ? `the network gives ${width}x${height}, less than the ${columns}x${rows} it must cover`
    : null;
}
