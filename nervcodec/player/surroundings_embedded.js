// Where an exported page finds its worker and its video: in itself. WORKER_SCRIPT follows.

/** Return a worker that decodes. */
export function startWorker() {
  const url = URL.createObjectURL(new Blob([WORKER_SCRIPT], { type: "text/javascript" }));
  const worker = new Worker(url);
  return worker;
}

/** Return the video of the page, {name, bytes}. */
export async function firstVideo() {
  const element = document.getElementById("embedded-video");
  const text = atob(element.textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  element.remove();
  return { name: element.dataset.name, bytes };
}

/** Nobody serves the page. */
export function stayInTouch() {}
