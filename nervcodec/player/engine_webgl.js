// @ts-check
/**
 * The engine on WebGL 2: a map is a texture of integers, and a fragment gives four channels of a
 * pixel. Textures of 16-bit integers can be drawn to in any WebGL 2.
 */

import { Stores } from './gpu_plan.js';
import { STEPS } from './gpu_steps.js';

/** @typedef {import('./gpu_plan.js').GpuMap} GpuMap */
/** @typedef {import('./gpu_plan.js').StepName} StepName */
/** @typedef {import('./gpu_plan.js').Gpu} Gpu */

const LINE = 2048; // texels of a row of a list; any WebGL 2 takes so many
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
// A triangle that holds the picture.
const VERTICES = [
  '#version 300 es',
  'void main() {',
  'gl_Position = vec4(4 * (gl_VertexID & 1) - 1, 2 * (gl_VertexID & 2) - 1, 0, 1);',
  '}',
];
const BEGINNING = [
  '#version 300 es',
  'precision highp int;',
  'precision highp isampler2D;',
  'uniform isampler2D texture0, texture1, texture2, texture3;',
  'uniform ivec3 pixels, others, size;', // columns and rows of a tile, tiles side by side
  'uniform int first, stride, inputs, edge, alone, lanes, nTerms;',
  'uniform int right, left, held, adds, looks, limit;',
  'out ivec4 result;',
  'ivec2 corner(ivec3 map, int tile) {',
  'return ivec2(tile % map.z, tile / map.z) * map.xy;',
  '}',
  'ivec4 listed(isampler2D list, int i) {',
  `return texelFetch(list, ivec2(i & ${LINE - 1}, i / ${LINE}), 0);`,
  '}',
  'ivec4 pixel(ivec2 place) { return texelFetch(texture0, place, 0); }',
  'ivec4 other(ivec2 place) { return texelFetch(texture1, place, 0); }',
  'ivec4 weight(int i) { return listed(texture2, i); }',
  'int item(int i) { return listed(texture3, i).x; }',
  'ivec4 value(int block, ivec2 p) {',
];
const END = [
  '}',
  'void main() {',
  'ivec2 at = ivec2(gl_FragCoord.xy);',
  'ivec2 place = at / size.xy;',
  'result = value(place.y * size.z + place.x, at - place * size.xy);',
  '}',
];

/** A context, its programs, and the textures that the maps of all networks on it share. */
export class WebglDevice {
  /**
   * @param {boolean} isHardware whether one that is computed by the processor is refused
   * @throws {Error} there is none
   */
  constructor(isHardware) {
    const { OffscreenCanvas } = /** @type {any} */ (globalThis);
    const wish = { powerPreference: 'high-performance', failIfMajorPerformanceCaveat: isHardware };
    /** @type {WebGL2RenderingContext | null} */
    const gl = OffscreenCanvas ? new OffscreenCanvas(1, 1).getContext('webgl2', wish) : null;
    const names = gl?.getExtension('WEBGL_debug_renderer_info');
    const name = gl?.getParameter(names?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER);
    if (gl === null || (isHardware && SOFTWARE.test(name))) {
      throw new Error('this browser has no WebGL 2 here; legal: auto, wasm, js');
    }
    this.gl = gl;
    this.side = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    /** @type {any[]} */
    this.stores = [];
    this.programs = {
      append: this.program(STEPS.append),
      convolve: this.program(STEPS.convolve),
      addResized: this.program(STEPS.addResized),
    };
  }

  /**
   * @param {string[]} lines of a step
   * @returns {WebGLProgram}
   */
  program(lines) {
    const { gl } = this;
    const program = gl.createProgram();
    const sources = [VERTICES, [...BEGINNING, ...lines, ...END]];
    [gl.VERTEX_SHADER, gl.FRAGMENT_SHADER].forEach((type, i) => {
      const shader = /** @type {WebGLShader} */ (gl.createShader(type));
      gl.shaderSource(shader, sources[i].join('\n'));
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    });
    gl.linkProgram(program);
    gl.useProgram(program);
    for (let unit = 0; unit < 4; unit++) {
      gl.uniform1i(gl.getUniformLocation(program, `texture${unit}`), unit);
    }
    return program;
  }

  /**
   * @param {number} format
   * @param {number} width
   * @param {number} height
   * @returns {WebGLTexture}
   * @throws {Error} it is larger than this context takes
   */
  texture(format, width, height) {
    const { gl, side } = this;
    if (!(width <= side && height <= side)) {
      const legal = `legal: up to ${side}x${side}`;
      throw new Error(`WebGL 2 takes no map of ${width}x${height} here; ${legal}`);
    }
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    return texture;
  }
}

/**
 * The steps of a network.
 * @implements {Gpu}
 */
export class Webgl {
  /** @param {WebglDevice} device */
  constructor(device) {
    this.name = 'webgl';
    this.device = device;
    this.gl = device.gl;
    this.stores = new Stores(device.stores);
    /** @type {(() => void)[]} */
    this.steps = [];
  }

  /**
   * @param {GpuMap} head
   * @returns {Int32Array} what it has
   * @throws {Error} the context is lost, or lacks memory
   */
  run(head) {
    const { gl } = this;
    this.steps.forEach((step) => step());
    const { width, height } = head.store;
    const values = new Int32Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA_INTEGER, gl.INT, values);
    const error = gl.getError();
    if (error || gl.isContextLost()) {
      throw new Error(`WebGL 2 failed: error ${error}; legal: auto, wasm, js`);
    }
    return values;
  }

  /**
   * @param {ArrayLike<number>} values
   * @param {number} lanes 1 or 4
   * @param {WebGLTexture | null} list
   * @returns {WebGLTexture}
   */
  list(values, lanes = 1, list = null) {
    const { gl } = this;
    const height = Math.ceil(values.length / lanes / LINE);
    const [format, inner] = lanes === 1 ? [gl.RED_INTEGER, gl.R32I] : [gl.RGBA_INTEGER, gl.RGBA32I];
    const texture = list ?? this.device.texture(inner, LINE, height);
    const all = new Int32Array(lanes * LINE * height);
    all.set(values);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, LINE, height, format, gl.INT, all);
    return texture;
  }

  /**
   * @param {number} channels
   * @param {number} rows
   * @param {number} columns
   * @returns {GpuMap}
   */
  map(channels, rows, columns) {
    const { gl, device } = this;
    const nTiles = Math.ceil(channels / 4);
    const nLines = Math.ceil(nTiles / Math.max(Math.floor(device.side / columns), 1));
    const across = Math.ceil(nTiles / nLines);
    const width = across * columns;
    const height = nLines * rows;
    const store = this.stores.take(`${[width, height]}`, () => {
      const data = device.texture(gl.RGBA16I, width, height);
      const framebuffer = gl.createFramebuffer();
      gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, data, 0);
      return { data, framebuffer, width, height };
    });
    return { store, channels, rows, columns, across };
  }

  /**
   * @param {StepName} name
   * @param {GpuMap} out
   * @param {WebGLTexture[]} read
   * @param {Record<string, GpuMap>} shapes
   * @param {Record<string, number>} constants
   */
  step(name, out, read, shapes, constants) {
    const { gl } = this;
    const program = this.device.programs[name];
    const { framebuffer, width, height } = out.store;
    const uniform = (/** @type {string} */ key) => gl.getUniformLocation(program, key);
    const numbers = Object.entries(constants).map(([key, value]) => ({ at: uniform(key), value }));
    const sizes = Object.entries(shapes).map(([key, { columns, rows, across }]) => ({
      at: uniform(key),
      size: [columns, rows, across],
    }));
    this.steps.push(() => {
      gl.useProgram(program);
      gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
      gl.viewport(0, 0, width, height);
      read.forEach((texture, unit) => {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_2D, texture);
      });
      numbers.forEach(({ at, value }) => gl.uniform1i(at, value));
      sizes.forEach(({ at, size }) => gl.uniform3iv(at, size));
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    });
  }
}
