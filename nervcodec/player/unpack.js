/** Runs the script of an exported page, which stands before this, deflated and in base64. */

/* global PACKED */

function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate')));
}

async function unpack() {
  const script = new Blob([await inflate(PACKED).text()], { type: 'text/javascript' });
  await import(URL.createObjectURL(script));
}

unpack().catch((error) => {
  document.getElementById('error-text').textContent = `This browser is too old: ${error.message}`;
  document.getElementById('error').hidden = false;
});
