// @ts-check
/** Errors of a .nvpp file, in the words of the command line (section 6.1 of nvpp-format.md). */

/**
 * @typedef {'BadMagic' | 'UnsupportedVersion' | 'Checksum' | 'Truncated' | 'UnknownPrior' |
 *   'InvalidField' | 'BitstreamError' | 'LimitExceeded' | 'FramesDiffer'} ErrorKind
 */

/** A file that is damaged, foreign, or larger than the reader agrees to decode. */
export class NvppError extends Error {
  /**
   * @param {ErrorKind} kind name of the error in section 6.1
   * @param {string} message one line for the user
   */
  constructor(kind, message) {
    super(message);
    this.name = 'NvppError';
    this.kind = kind;
  }
}

/**
 * An InvalidField that names the field, its value and what is legal.
 * @param {string} field
 * @param {number | bigint | string} value
 * @param {string} allowed
 * @returns {NvppError}
 */
export function invalidField(field, value, allowed) {
  return new NvppError('InvalidField', `${field} is ${value}; legal: ${allowed}`);
}

/**
 * A text between quotation marks, control characters escaped, for a message of one line.
 * @param {string} text
 * @returns {string}
 */
export function quoted(text) {
  let inside = '';
  for (const character of text) {
    inside += escaped(character.codePointAt(0) ?? 0, character);
  }
  return text.includes("'") && !text.includes('"') ? `"${inside}"` : `'${inside.replaceAll("'", "\\'")}'`;
}

/**
 * Bytes as b'..', those outside of ASCII as hexadecimal.
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function quotedBytes(bytes) {
  let text = '';
  for (const byte of bytes) {
    text += byte < 127 ? String.fromCharCode(byte) : `\u{10ffff}${hex(byte)}`;
  }
  return `b${quoted(text).replaceAll('\u{10ffff}', '\\x')}`;
}

const SHORT = new Map([
  [9, '\\t'],
  [10, '\\n'],
  [13, '\\r'],
  [92, '\\\\'],
]);

/**
 * @param {number} code
 * @param {string} character
 * @returns {string}
 */
function escaped(code, character) {
  const short = SHORT.get(code);
  if (short !== undefined) {
    return short;
  }
  return code < 32 || (code >= 127 && code < 160) ? `\\x${hex(code)}` : character;
}

/**
 * @param {number} byte
 * @returns {string}
 */
function hex(byte) {
  return byte.toString(16).padStart(2, '0');
}
