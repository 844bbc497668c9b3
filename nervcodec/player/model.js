// @ts-check
/** The configuration of a network and the sizes that follow from it (sections 3.1 and 5.10). */

/**
 * @typedef {object} Grid
 * @property {number} channels of each key
 * @property {number} interval frames for each key
 * @property {number} level blocks before the grid
 *
 * @typedef {object} Model
 * @property {number} width luma columns
 * @property {number} height luma rows
 * @property {number} colorspace of the head: 0 rgb, 1 yuv420, 2 yuv422, 3 yuv444, 4 gray
 * @property {number} depth bits of a sample: 8, 10 or 12
 * @property {number} bits of symbols
 * @property {{pw: boolean, scrb1: boolean, scrb2: boolean, skip: boolean}} parts of a block
 * @property {boolean} lean whether dw and pw2 have no biases
 * @property {number} prior its number, 0 without one
 * @property {'mlp' | 'grid'} stem
 * @property {number} stemHeight
 * @property {number} stemWidth
 * @property {number} stemHidden
 * @property {number} stemChannels what the stem gives, of either kind
 * @property {number} motionHeight
 * @property {number} motionWidth
 * @property {number} waveletLevels
 * @property {Grid[]} grids
 * @property {{stride: number, width: number}[]} blocks
 *
 * @typedef {object} Tensor
 * @property {string} name as 'block1.pw', 'block1.pw.bias', 'grid2.details1'
 * @property {number[]} shape
 *
 * @typedef {object} Group
 * @property {Tensor[]} tensors one, or all biases of a module
 * @property {boolean} keyed whether its first index counts keys
 * @property {number[]} keys of each shot, if it is keyed
 * @property {boolean} follows the group before it
 * @property {boolean} hasClasses
 */

/** Times for each frame that can be computed: its own, and those before the next one. */
export const PARTS = 16;

/** Planes of each colorspace: rows and columns of phases (section 5.10). */
export const PHASES = [
  [[1, 1], [1, 1], [1, 1]],
  [[2, 2], [1, 1], [1, 1]],
  [[2, 2], [2, 1], [2, 1]],
  [[2, 2], [2, 2], [2, 2]],
  [[2, 2]],
];

/**
 * S_l, the product of the first `level` strides.
 * @param {Model} model
 * @param {number} level
 * @returns {number}
 */
export function strideOf(model, level) {
  return model.blocks.slice(0, level).reduce((product, block) => product * block.stride, 1);
}

/**
 * The sum of grid_channels at a level.
 * @param {Model} model
 * @param {number} level
 * @returns {number}
 */
export function channelsOfLevel(model, level) {
  return model.grids
    .filter((grid) => grid.level === level)
    .reduce((sum, grid) => sum + grid.channels, 0);
}

/**
 * V_level, the channels behind block `level`, those of its grids with them.
 * @param {Model} model
 * @param {number} level 0 for the stem
 * @returns {number}
 */
export function channelsBehind(model, level) {
  return level === 0
    ? model.stemChannels
    : model.blocks[level - 1].width + channelsOfLevel(model, level);
}

/**
 * Channels that the head gives: one for each phase of each plane.
 * @param {number} colorspace
 * @returns {number}
 */
export function nPhases(colorspace) {
  return PHASES[colorspace].reduce((sum, [rows, columns]) => sum + rows * columns, 0);
}

/**
 * Rows and columns of a plane of samples.
 * @param {Model} model
 * @param {number} plane
 * @returns {[rows: number, columns: number]}
 */
export function planeSize(model, plane) {
  const halvesColumns = plane > 0 && (model.colorspace === 1 || model.colorspace === 2);
  const halvesRows = plane > 0 && model.colorspace === 1;
  return [
    halvesRows ? Math.ceil(model.height / 2) : model.height,
    halvesColumns ? Math.ceil(model.width / 2) : model.width,
  ];
}
