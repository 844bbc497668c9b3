/** Where an exported page finds its worker and its video: in itself. */

/* global WORKER_MODULES -- [name, function] of each module of the worker */

/** Return a worker that decodes. */
export function startWorker() {
  const parts = WORKER_MODULES.map(([name, maker]) => `const ${name} = (${maker})();\n`);
  const url = URL.createObjectURL(new Blob(["'use strict';\n", ...parts], { type: 'text/javascript' }));
  return new Worker(url);
}

/** Return the video of the page, {name, bytes}. */
export async function firstVideo() {
  const element = document.getElementById('embedded-video');
  const text = atob(element.textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  element.remove();
  return { name: element.dataset.name, bytes };
}

/** Nobody serves the page. */
export function stayInTouch() {}
