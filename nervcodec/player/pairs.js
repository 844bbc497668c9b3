// @ts-check
/** Feature maps of the engine 'wasm' in the memory of its kernels (kernels.wat). */

/** @typedef {import('./engine_js.js').FeatureMap} FeatureMap */

const PAGE = 65536;
const ALIGNMENT = 16;
const PIXEL = 4; // bytes of the two channels of a pixel
const RUN = 16; // pixels that a kernel computes at once, up to 15 beyond a map's last

/**
 * @typedef {object} PairMap
 * @property {number} start address of the first plane
 * @property {number} first address of the first pixel of the first plane
 * @property {number} plane bytes from a pair of channels to the next
 * @property {number} row bytes
 * @property {number} channels
 * @property {number} nPairs
 * @property {number} rows
 * @property {number} columns
 * @property {number} nPixels from the first pixel to the last, columns of zeros between
 */

/** Where everything of a frame lies: planned first, then made. */
export class Memory {
  constructor() {
    this.end = ALIGNMENT;
    /** @type {{address: number, bytes: number}[]} */
    this.free = [];
    /** @type {Map<number, number>} bytes of each address in use */
    this.used = new Map();
    /** @type {{address: number, values: Int16Array | Int32Array}[]} */
    this.constants = [];
    /** @type {WebAssembly.Memory | null} */
    this.memory = null;
    this.int16 = new Int16Array(0);
    this.int32 = new Int32Array(0);
  }

  /**
   * @param {number} length in bytes
   * @returns {number} address
   */
  allocate(length) {
    const bytes = Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    const index = this.free.findIndex((block) => block.bytes >= bytes);
    let address = this.end;
    if (index >= 0) {
      const block = this.free[index];
      address = block.address;
      block.address += bytes;
      block.bytes -= bytes;
    } else {
      this.end += bytes;
    }
    this.used.set(address, bytes);
    return address;
  }

  /**
   * Let what is planned later have these bytes.
   * @param {number} address
   */
  release(address) {
    this.free.push({ address, bytes: this.used.get(address) ?? 0 });
    this.used.delete(address);
  }

  /**
   * @param {Int16Array | Int32Array} values that stay as they are
   * @returns {number} address
   */
  constant(values) {
    const address = this.end;
    this.end += Math.ceil(values.byteLength / ALIGNMENT) * ALIGNMENT;
    this.constants.push({ address, values });
    return address;
  }

  /**
   * Make the memory that was planned.
   * @returns {WebAssembly.Memory}
   */
  make() {
    const memory = new WebAssembly.Memory({ initial: Math.ceil(this.end / PAGE) + 1 });
    this.int16 = new Int16Array(memory.buffer);
    this.int32 = new Int32Array(memory.buffer);
    for (const { address, values } of this.constants) {
      if (values instanceof Int16Array) {
        this.int16.set(values, address / 2);
      } else {
        this.int32.set(values, address / 4);
      }
    }
    this.constants = [];
    this.memory = memory;
    return memory;
  }

  /**
   * Plan a map.
   * @param {number} channels
   * @param {number} rows
   * @param {number} columns
   * @param {number} nPlanes one for each two channels, if no other number is given
   * @returns {PairMap}
   */
  map(channels, rows, columns, nPlanes = Math.ceil(channels / 2)) {
    const stride = columns + 1;
    const pixels = Math.ceil((stride * (rows + 2) + 1 + RUN) / 4) * 4;
    const plane = pixels * PIXEL;
    const start = this.allocate(nPlanes * plane);
    return {
      start,
      first: start + (stride + 1) * PIXEL,
      plane,
      row: stride * PIXEL,
      channels,
      nPairs: Math.ceil(channels / 2),
      rows,
      columns,
      nPixels: stride * rows - 1,
    };
  }

  /**
   * Set what is no pixel of a map to 0.
   * @param {PairMap} map
   */
  clearEdges(map) {
    const { int32 } = this;
    const stride = map.row / PIXEL;
    for (let pair = 0; pair < map.nPairs; pair++) {
      const start = (map.start + pair * map.plane) / PIXEL;
      int32.fill(0, start, start + stride + 1);
      for (let row = 1; row <= map.rows; row++) {
        int32[start + (row + 1) * stride] = 0;
      }
      int32.fill(0, start + (map.rows + 1) * stride, start + map.plane / PIXEL);
    }
  }

  /**
   * Where a channel lies, as an index of int16; its columns are 2 apart.
   * @param {PairMap} map
   * @param {number} channel
   * @returns {number}
   */
  channel(map, channel) {
    return (map.first + (channel >> 1) * map.plane) / 2 + (channel & 1);
  }

  /**
   * Write channels into a map.
   * @param {PairMap} map
   * @param {Int16Array | Int32Array} values [channels, rows, columns]
   * @param {number} firstChannel
   */
  write(map, values, firstChannel) {
    const { int16 } = this;
    const cells = map.rows * map.columns;
    for (let from = 0, channel = firstChannel; from < values.length; channel++) {
      let start = this.channel(map, channel);
      for (const end = from + cells; from < end; start += map.row / 2) {
        for (let x = 0, to = start; x < map.columns; x++, to += 2, from++) {
          int16[to] = values[from];
        }
      }
    }
  }

  /**
   * @param {PairMap} map
   * @returns {FeatureMap}
   */
  read(map) {
    const { int16 } = this;
    const { channels, rows, columns } = map;
    const values = new Int32Array(channels * rows * columns);
    for (let channel = 0, to = 0; channel < channels; channel++) {
      let start = this.channel(map, channel);
      for (let y = 0; y < rows; y++, start += map.row / 2) {
        for (let x = 0, from = start; x < columns; x++, from += 2, to++) {
          values[to] = int16[from];
        }
      }
    }
    return { values, channels, rows, columns };
  }
}
