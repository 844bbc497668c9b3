// @ts-check
/** Where an exported page finds its worker and its video: in itself. */

/* global WORKER_MODULES -- [name, function] of each module of the worker */

/** Return a worker that decodes. */
export function startWorker() {
  // @ts-expect-error bundle.py writes it before this module.
  const parts = WORKER_MODULES.map(([name, maker]) => `const ${name} = (${maker})();\n`);
  const url = URL.createObjectURL(new Blob(["'use strict';\n", ...parts], { type: 'text/javascript' }));
  return new Worker(url);
}

/** Return the video of the page, {name, bytes}. */
export async function firstVideo() {
  const element = document.getElementById('embedded-video');
  return { name: element.dataset.name, bytes: globalThis.bytesOf(element.textContent) };
}

/** Return the weights of a prior: the page has all low bytes, then all high ones, deflated. */
export async function loadPrior(number) {
  const element = document.getElementById(`embedded-prior-${number}`);
  if (!element) {
    throw new Error(`this page lacks prior ${number}, which the file needs; nervcodec play has it`);
  }
  const parted = await inflated(element);
  const n = parted.length / 2;
  return parted.map((_, i) => parted[(i >> 1) + (i & 1) * n]);
}

/** Return the bytes of the engine in WebAssembly. */
export async function loadKernels() {
  return inflated(document.getElementById('embedded-kernels'));
}

/** The bytes of an element, deflated and as text; unpack.js has inflate. */
async function inflated(element) {
  return new Uint8Array(await globalThis.inflate(element.textContent).arrayBuffer());
}

/** Nobody serves the page. */
export function stayInTouch() {}
