// Runs steps with a page: a request as JSON on stdin; on stdout what the steps return, the browser's
// version, all that the page complained of, and what it asked the network for.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { openFirefox } from './browser_bidi.mjs';
import { openWebkit } from './browser_webkit.mjs';

const CHROMIUM_FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--enable-unsafe-webgpu', // on the processor, where there is no GPU
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const OPENERS = { chromium: openChromium, firefox: openFirefox, webkit: openWebkit };
const AsyncFunction = (async () => {}).constructor;

/** {page, version, complaints, requests, close}; the page is playwright's own. */
async function openChromium({ executable, viewport }) {
  const { chromium } = createRequire(import.meta.url)('playwright-core');
  const browser = await chromium.launch({ executablePath: executable, args: CHROMIUM_FLAGS });
  const page = await browser.newPage({ viewport });
  const complaints = [];
  const requests = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => requests.push(request.url()));
  return {
    page,
    version: browser.version(),
    complaints: () => complaints,
    requests: () => requests,
    close: () => browser.close(),
  };
}

const { browser, url, steps, ...settings } = JSON.parse(readFileSync(0, 'utf8'));
const { page, version, complaints, requests, close } = await OPENERS[browser](settings);
try {
  if (url !== 'about:blank') await page.goto(url); // where a page begins
  const found = await new AsyncFunction('page', steps)(page);
  // A test that reads the canvas twice is told that this could be faster.
  const isMeant = (text) => !text.includes('willReadFrequently');
  const said = (await complaints()).filter(isMeant);
  console.log(JSON.stringify({ found, version, complaints: said, requests: await requests() }));
} finally {
  await close();
}
