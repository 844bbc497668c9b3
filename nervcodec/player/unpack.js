/** Runs the script of an exported page, which stands before this, deflated and in base85. */

/* global PACKED */

const DIGITS =
  '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~';

// The script that is unpacked asks for this, too.
globalThis.inflate = (base85) => {
  const nGroups = Math.ceil(base85.length / 5);
  const view = new DataView(new ArrayBuffer(4 * nGroups));
  for (let i = 0; i < nGroups; i++) {
    const group = [...base85.slice(5 * i, 5 * i + 5).padEnd(5, '~')];
    view.setUint32(4 * i, group.reduce((sum, digit) => 85 * sum + DIGITS.indexOf(digit), 0));
  }
  const packed = new Blob([view.buffer.slice(0, base85.length - nGroups)]);
  return new Response(packed.stream().pipeThrough(new DecompressionStream('deflate')));
};

async function unpack() {
  const script = new Blob([await globalThis.inflate(PACKED).text()], { type: 'text/javascript' });
  await import(URL.createObjectURL(script));
}

unpack().catch((error) => {
  document.getElementById('error-text').textContent = `This browser is too old: ${error.message}`;
  document.getElementById('error').hidden = false;
});
