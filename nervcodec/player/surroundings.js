// @ts-check
/** Where the page finds its worker, its video and whoever started it: beside it, by its address. */

/** Return a worker that decodes. */
export function startWorker() {
  return new Worker(new URL('./decoder_worker.js', import.meta.url), { type: 'module' });
}

/**
 * Return the video that the page's address names, {name, bytes}; null where it names none.
 * ?file=PATH is one below the page's own folder, &name= what is shown for it.
 */
export async function firstVideo() {
  const query = new URLSearchParams(location.search);
  const path = query.get('file');
  if (!path) {
    return null;
  }
  const url = new URL(path, location.href);
  if (url.origin !== location.origin) {
    throw new Error(`${path} is not of this site`);
  }
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${path}: ${response.status} ${response.statusText}`);
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { name: query.get('name') ?? path, bytes };
}

/** Return the weights of a prior: beside the page, or where the sources have them. */
export async function loadPrior(number) {
  for (const folder of ['./priors', '../nn/priors']) {
    const response = await fetch(`${folder}/${number}.npy`);
    if (response.ok) {
      return new Uint8Array(await response.arrayBuffer());
    }
  }
  throw new Error(`this site lacks priors/${number}.npy, which the file needs`);
}

/** Return the bytes of the engine in WebAssembly. */
export async function loadKernels() {
  const response = await fetch('kernels.wasm');
  if (!response.ok) {
    throw new Error('this site lacks kernels.wasm');
  }
  return new Uint8Array(await response.arrayBuffer());
}

/** Tell whoever serves the page that it is open, where the address says how. */
export function stayInTouch() {
  const path = new URLSearchParams(location.search).get('events');
  if (path && /^[a-z]+$/.test(path)) {
    new EventSource(path);
  }
}
