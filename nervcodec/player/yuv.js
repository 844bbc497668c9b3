// @ts-check
/** From decoded planes to RGBA of 8 bits, by the colour fields of the header (section 2.2). */

/** @typedef {import('./network.js').Frame} Frame */
/** @typedef {import('./model.js').Model} Model */

/**
 * @typedef {object} Conversion
 * @property {Int32Array} luma of each sample, in 2^-16 of an 8-bit level, with half a level
 * @property {Int32Array} redOfCr of each sample of Cr
 * @property {Int32Array} greenOfCb
 * @property {Int32Array} greenOfCr
 * @property {Int32Array} blueOfCb
 */

// H.273 MatrixCoefficients: K_R and K_B.
/** @type {Map<number, [kr: number, kb: number]>} */
const COEFFICIENTS = new Map([
  [1, [0.2126, 0.0722]],
  [4, [0.3, 0.11]],
  [5, [0.299, 0.114]],
  [6, [0.299, 0.114]],
  [7, [0.212, 0.087]],
  [9, [0.2627, 0.0593]],
  [10, [0.2627, 0.0593]],
]);
const BT709 = 1;
const BT601 = 6;
const HIGH_DEFINITION_ROWS = 720; // from here on, an unspecified matrix is that of BT.709
const FULL_RANGE = 2;
const LIMITED_RANGE = 1;
const RGB = 0;
const GRAY = 4;
const LAYOUT_RGB = 1;
const ONE = 65536;

/** Converts frames of one file. */
export class RgbaConverter {
  /**
   * @param {Record<string, number>} header
   * @param {Model} model
   */
  constructor(header, model) {
    this.model = model;
    this.isRgb = model.colorspace === RGB;
    const isFull = this.isRgb
      ? header.layout !== LAYOUT_RGB || header.range !== LIMITED_RANGE
      : header.range === FULL_RANGE;
    this.conversion = conversionOf(header.matrix, isFull, model);
  }

  /**
   * @param {Frame} frame
   * @param {Uint8ClampedArray<ArrayBuffer>} target [height, width, 4], as ImageData has it
   * @returns {Uint8ClampedArray<ArrayBuffer>} target
   */
  convert(frame, target = new Uint8ClampedArray(4 * frame.planes[0].length)) {
    if (this.isRgb) {
      this.convertRgb(frame, target);
    } else if (this.model.colorspace === GRAY) {
      this.convertGray(frame, target);
    } else {
      this.convertYuv(frame, target);
    }
    return target;
  }

  /**
   * @param {Frame} frame
   * @param {Uint8ClampedArray} target
   */
  convertRgb(frame, target) {
    const { luma } = this.conversion;
    const [red, green, blue] = frame.planes;
    for (let i = 0, to = 0; i < red.length; i++, to += 4) {
      target[to] = luma[red[i]] >> 16;
      target[to + 1] = luma[green[i]] >> 16;
      target[to + 2] = luma[blue[i]] >> 16;
      target[to + 3] = 255;
    }
  }

  /**
   * @param {Frame} frame
   * @param {Uint8ClampedArray} target
   */
  convertGray(frame, target) {
    const { luma } = this.conversion;
    const [plane] = frame.planes;
    for (let i = 0, to = 0; i < plane.length; i++, to += 4) {
      const level = luma[plane[i]] >> 16;
      target[to] = level;
      target[to + 1] = level;
      target[to + 2] = level;
      target[to + 3] = 255;
    }
  }

  /**
   * Each sample of chroma is that of the pixels around it.
   * @param {Frame} frame
   * @param {Uint8ClampedArray} target
   */
  convertYuv(frame, target) {
    const { luma, redOfCr, greenOfCb, greenOfCr, blueOfCb } = this.conversion;
    const [ys, cbs, crs] = frame.planes;
    const [width, chromaColumns] = frame.widths;
    const [height, chromaRows] = frame.heights;
    const halveRows = chromaRows < height ? 1 : 0;
    const halveColumns = chromaColumns < width ? 1 : 0;
    for (let row = 0, i = 0, to = 0; row < height; row++) {
      const chroma = (row >> halveRows) * chromaColumns;
      for (let column = 0; column < width; column++, i++, to += 4) {
        const at = chroma + (column >> halveColumns);
        const level = luma[ys[i]];
        const cb = cbs[at];
        const cr = crs[at];
        target[to] = (level + redOfCr[cr]) >> 16;
        target[to + 1] = (level + greenOfCb[cb] + greenOfCr[cr]) >> 16;
        target[to + 2] = (level + blueOfCb[cb]) >> 16;
        target[to + 3] = 255;
      }
    }
  }
}

/**
 * @param {number} matrix of the header
 * @param {boolean} isFull range
 * @param {Model} model
 * @returns {Conversion}
 */
function conversionOf(matrix, isFull, model) {
  const { depth, height } = model;
  const [kr, kb] = COEFFICIENTS.get(matrix) ??
    COEFFICIENTS.get(height >= HIGH_DEFINITION_ROWS ? BT709 : BT601) ?? [0, 0];
  const kg = 1 - kr - kb;
  const unit = 2 ** (depth - 8);
  const peak = 2 ** depth - 1;
  const black = isFull ? 0 : 16 * unit;
  const lumaScale = 255 / (isFull ? peak : 219 * unit);
  const chromaScale = 255 / (isFull ? peak : 224 * unit);
  const middle = 128 * unit;
  const levels = (/** @type {(sample: number) => number} */ level) =>
    Int32Array.from({ length: peak + 1 }, (_, sample) => Math.round(ONE * level(sample)));
  const chroma = (/** @type {number} */ factor) =>
    levels((sample) => factor * chromaScale * (sample - middle));
  return {
    luma: levels((sample) => lumaScale * (sample - black) + 0.5),
    redOfCr: chroma(2 * (1 - kr)),
    greenOfCb: chroma((-2 * kb * (1 - kb)) / kg),
    greenOfCr: chroma((-2 * kr * (1 - kr)) / kg),
    blueOfCb: chroma(2 * (1 - kb)),
  };
}
