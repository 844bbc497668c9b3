// @ts-check
/**
 * The steps of a frame on a GPU, in what GLSL and WGSL have in common, and the weights that they
 * take. The lines of a step return four channels, those of `block`, of the pixel p.
 */

/** @typedef {import('./layers.js').Layer} Layer */

/**
 * Lines of GLSL, from which wgsl makes the other language. They read pixel(place) and other(place)
 * of two maps, in which corner(map, tile) is the place of a tile, weight(i) and item(i) of two
 * lists, and constants.
 */
export const STEPS = {
  // Channels from `first` on are those of the list.
  append: [
    'ivec4 v = pixel(corner(pixels, block) + p);',
    'for (int k = 0; k < 4; k++) {',
    'int c = 4 * block + k - first;',
    'if (c >= 0) { v[k] = item((c * size.y + p.y) * size.x + p.x); }',
    '}',
    'return v;',
  ],
  convolve: [
    'ivec2 middle = p / stride;',
    'ivec2 phase = p - middle * stride;',
    'int term = ((block * stride + phase.y) * stride + phase.x) * nTerms;',
    'ivec4 sum = weight(term);',
    'int start = alone * block;',
    'for (int i = start; i < start + inputs; i++) {',
    'ivec2 tile = corner(pixels, i);',
    'for (int row = -edge; row <= edge; row++) {',
    'for (int column = -edge; column <= edge; column++) {',
    'ivec2 at = middle + ivec2(column, row);',
    'if (at.x >= 0 && at.x < pixels.x && at.y >= 0 && at.y < pixels.y) {',
    'ivec4 v = pixel(tile + at);',
    'if (alone > 0) { sum += weight(term + 1) * v; } else {',
    'sum += weight(term + 1) * v.x + weight(term + 2) * v.y;',
    'sum += weight(term + 3) * v.z + weight(term + 4) * v.w;',
    '}}',
    'term += lanes;',
    '}}}',
    'sum = clamp(sum >> right, ivec4(-held), ivec4(held)) << left;',
    'if (adds > 0) { sum += other(corner(others, block) + p); }',
    'sum = clamp(sum, ivec4(-limit), ivec4(limit));',
    'for (int k = 0; k < 4 * looks; k++) { sum[k] = item(sum[k] + limit); }',
    'return sum;',
  ],
  // As `places` of integers.js has it.
  addResized: [
    'ivec2 q = max((2 * p + 1) * others.xy - size.xy, ivec2(0));',
    'ivec2 a = q / (2 * size.xy);',
    'ivec2 b = min(a + 1, others.xy - 1);',
    'ivec2 part = (256 * (q % (2 * size.xy)) + size.xy) / (2 * size.xy);',
    'ivec2 tile = corner(others, block);',
    'a += tile;',
    'b += tile;',
    'ivec4 above = (256 - part.x) * other(a) + part.x * other(ivec2(b.x, a.y));',
    'ivec4 below = (256 - part.x) * other(ivec2(a.x, b.y)) + part.x * other(b);',
    'ivec4 v = ((256 - part.y) * above + part.y * below + 32768) >> right;',
    'return clamp(pixel(corner(pixels, block) + p) + v, ivec4(-limit), ivec4(limit));',
  ],
};

/**
 * @param {keyof typeof STEPS} name
 * @returns {string} its lines in WGSL
 */
export function wgsl(name) {
  return STEPS[name]
    .join('\n')
    .replace(/\b(?:int|ivec[24]) (\w+) =/g, 'var $1 =')
    .replace(/\bivec(\d)/g, 'vec$1i');
}

const HELD = 20; // results that are shifted left are held within 2^HELD; what follows clips them

/**
 * Biases, with half of what is dropped, and weights: [groups, terms, 4]. A group is those outputs
 * of four channels that have the same place in a stride.
 * @param {Layer} layer
 * @param {number} stride
 * @param {boolean} isDepthwise
 * @returns {{values: Int32Array, constants: Record<string, number>}}
 */
export function termsOf({ outputs, inputs, kernel, biases, weights, shift }, stride, isDepthwise) {
  const right = Math.min(Math.max(shift, 0), 31);
  const left = Math.min(Math.max(-shift, 0), HELD);
  const nTaps = kernel ** 2;
  const nPlaces = stride ** 2;
  const lanes = isDepthwise ? 1 : 4;
  const nBlocks = Math.ceil(inputs / 4);
  const nTerms = 1 + nTaps * lanes * nBlocks;
  const values = new Int32Array(Math.ceil(outputs / nPlaces / 4) * nPlaces * nTerms * 4);
  for (let o = 0; o < outputs; o++) {
    const channel = Math.floor(o / nPlaces);
    const at = ((channel >> 2) * nPlaces + (o % nPlaces)) * nTerms * 4 + (channel & 3);
    values[at] = biases[o] + (right > 0 ? 2 ** (right - 1) : 0);
    for (let i = 0; i < inputs * nTaps; i++) {
      const input = Math.floor(i / nTaps);
      const term = 1 + ((input >> 2) * nTaps + (i % nTaps)) * lanes + (input & 3);
      values[at + 4 * term] = weights[o * inputs * nTaps + i];
    }
  }
  const constants = {
    stride,
    inputs: nBlocks,
    edge: kernel >> 1,
    alone: Number(isDepthwise),
    lanes,
    nTerms,
    right,
    left,
    held: 2 ** (HELD - left),
  };
  return { values, constants };
}
