/** Runs the script of an exported page, which stands before this, deflated and in base64. */

/* global PACKED */

async function unpack() {
  const bytes = Uint8Array.from(atob(PACKED), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  const script = new Blob([await new Response(stream).blob()], { type: 'text/javascript' });
  await import(URL.createObjectURL(script));
}

unpack().catch((error) => {
  document.getElementById('error-text').textContent = `This browser is too old: ${error.message}`;
  document.getElementById('error').hidden = false;
});
