/** Runs the script of an exported page, which stands before this, deflated and as text. */

/* global PACKED */

const MINDED = '\0\b\n\v\f\r\x1a\x1b"&\'<\\\x7f';

// The script that is unpacked asks for these, too. Text is that of text.py.
globalThis.bytesOf = (text) => {
  const bytes = new Uint8Array(2 * text.length);
  let [n, held, bits] = [0, 0, 0];
  const push = (symbol) => {
    held = (held << 7) | symbol;
    bits += 7;
    if (bits > 7) {
      bits -= 8;
      bytes[n++] = held >> bits;
      held &= 127;
    }
  };
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const minded = code >> 7;
    if (minded > 0 && minded <= MINDED.length) {
      push(MINDED.charCodeAt(minded - 1));
    }
    push(code & 127);
  }
  return bytes.slice(0, n);
};

globalThis.inflate = (text) => {
  const packed = new Blob([globalThis.bytesOf(text)]).stream();
  return new Response(packed.pipeThrough(new DecompressionStream('deflate')));
};

async function unpack() {
  const script = new Blob([await globalThis.inflate(PACKED).text()], { type: 'text/javascript' });
  await import(URL.createObjectURL(script));
}

unpack().catch((error) => {
  document.getElementById('error-text').textContent = `This browser is too old: ${error.message}`;
  document.getElementById('error').hidden = false;
});
