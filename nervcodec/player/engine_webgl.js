// @ts-check
/** The engine on WebGL 2: a fragment is four channels of a pixel, an integer texture a map. */

import { Stores } from './gpu_plan.js';
import { STEPS } from './gpu_steps.js';

/** @typedef {import('./gpu_plan.js').GpuMap} GpuMap */
/** @typedef {import('./gpu_plan.js').Sources} Sources */
/** @typedef {import('./gpu_plan.js').Gpu} Gpu */

const LINE = 2048; // texels of a row of a list; any WebGL 2 takes so many
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
const VERTICES = [
  '#version 300 es',
  'void main() {',
  'gl_Position = vec4(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1, 0, 1);',
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
  'ivec4 tiled(isampler2D map, ivec3 shape, int tile, ivec2 at) {',
  'return texelFetch(map, ivec2(tile % shape.z, tile / shape.z) * shape.xy + at, 0);',
  '}',
  'ivec4 listed(isampler2D list, int i) {',
  `return texelFetch(list, ivec2(i % ${LINE}, i / ${LINE}), 0);`,
  '}',
  'ivec4 pixel(int tile, ivec2 at) { return tiled(texture0, pixels, tile, at); }',
  'ivec4 other(int tile, ivec2 at) { return tiled(texture1, others, tile, at); }',
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
      throw new Error(`WebGL 2 takes no ${width}x${height} here; legal: up to ${side}x${side}`);
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
   * @throws {Error} the context is lost, or has no memory
   */
  run(head) {
    const { gl } = this;
    this.steps.forEach((step) => step());
    const { width, height } = head.store;
    const values = new Int32Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA_INTEGER, gl.INT, values);
    const error = gl.getError();
    if (error || gl.isContextLost()) {
      throw new Error(`WebGL 2 failed with error ${error}`);
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
      const texture = device.texture(gl.RGBA16I, width, height);
      const framebuffer = gl.createFramebuffer();
      gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
      return { texture, framebuffer, width, height };
    });
    return { store, channels, rows, columns, across };
  }

  /**
   * @param {keyof typeof STEPS} name
   * @param {GpuMap} out
   * @param {Sources} sources
   * @param {Record<string, number>} constants
   */
  step(name, out, { pixels, others, weights, items }, constants) {
    const { gl } = this;
    const program = this.device.programs[name];
    const { framebuffer, width, height } = out.store;
    // A texture that is read must be one, and not the one that is drawn.
    const any = pixels?.store.texture ?? items;
    const textures = [any, others?.store.texture ?? any, weights ?? any, items ?? any];
    const shapes = { pixels: pixels ?? out, others: others ?? out, size: out };
    const uniforms = [
      ...Object.entries(constants).map(([key, value]) => [key, [value]]),
      ...Object.entries(shapes).map(([key, map]) => [key, [map.columns, map.rows, map.across]]),
    ].map(([key, value]) => [gl.getUniformLocation(program, key), value]);
    this.steps.push(() => {
      gl.useProgram(program);
      gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
      gl.viewport(0, 0, width, height);
      textures.forEach((texture, unit) => {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_2D, texture);
      });
      uniforms.forEach(([at, value]) => gl[`uniform${value.length}iv`](at, value));
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    });
  }
}
