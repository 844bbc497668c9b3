/** WebKitGTK, driven by WebKitWebDriver over HTTP. */

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

import { Page, pause } from './browser_page.mjs';
import { openScreen } from './browser_screen.mjs';

const START_MS = 20_000;
const RESIZE_MS = 1000; // a window may have a least size
const SCRIPT_MS = 900_000;
// What a page says and what its policy refuses, from when its own script begins to wait.
const LISTEN = `() => {
  const said = (window.complaints = []);
  for (const name of ['log', 'info', 'warn', 'error']) {
    const print = console[name];
    console[name] = (...values) => said.push(values.join(' ')) && print.apply(console, values);
  }
  addEventListener('error', ({ message }) => said.push(message));
  addEventListener('unhandledrejection', ({ reason }) => said.push(String(reason)));
  addEventListener('securitypolicyviolation', ({ blockedURI, effectiveDirective }) =>
    said.push('refused: ' + blockedURI + ' by ' + effectiveDirective));
}`;

/** Open a browser on a display in memory: {page, version, complaints, requests, close}. */
export async function openWebkit({ executable, driver, viewport }) {
  const screen = await openScreen();
  const port = await freePort();
  const driven = spawn(driver, [`--port=${port}`], { stdio: 'ignore', env: screen.env });
  const address = `http://127.0.0.1:${port}`;
  await listening(address);
  const { sessionId, capabilities } = await ask('POST', `${address}/session`, {
    capabilities: {
      alwaysMatch: {
        pageLoadStrategy: 'eager',
        timeouts: { script: SCRIPT_MS },
        'webkitgtk:browserOptions': { binary: executable, args: ['--automation'] },
      },
    },
  });
  const tab = new Tab(`${address}/session/${sessionId}`);
  await tab.before(LISTEN);
  await tab.resize(viewport);
  return {
    page: new Page(tab),
    version: capabilities.browserVersion,
    complaints: () => tab.call('() => window.complaints ?? []'),
    requests: () =>
      tab.call(`() => [location, ...performance.getEntriesByType('resource')]
        .map((each) => each.name ?? each.href)`),
    close: async () => {
      await ask('DELETE', tab.address);
      driven.kill();
      screen.close();
    },
  };
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function listening(address) {
  const end = performance.now() + START_MS;
  for (;;) {
    try {
      await ask('GET', `${address}/status`);
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await pause(50);
    }
  }
}

async function ask(method, url, body) {
  const answer = await fetch(url, { method, body: body && JSON.stringify(body) });
  const { value } = await answer.json();
  if (!answer.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
}

class Tab {
  constructor(address) {
    this.address = address;
    this.first = []; // functions that a new page runs
  }

  post(command, body) {
    return ask('POST', `${this.address}/${command}`, body);
  }

  async call(code, argument) {
    const script = `const [json, done] = arguments;
      (async () => [JSON.stringify(await (${code})(JSON.parse(json)))])()
        .catch((error) => [null, String(error.stack ?? error)]).then(done);`;
    const json = JSON.stringify(argument ?? null);
    const [value, error] = await this.post('execute/async', { script, args: [json] });
    if (error) throw new Error(error);
    return value === null ? undefined : JSON.parse(value);
  }

  async before(code) {
    this.first.push(code);
  }

  async perform(actions) {
    await this.post('actions', { actions });
  }

  /** The driver has no way to be there earlier than the page's own script. */
  async navigate(url) {
    await this.post('url', { url });
    for (const code of this.first) await this.call(code);
  }

  /** Give the page a size, which is that of its window less what surrounds it. */
  async resize({ width, height }) {
    const inner = () => this.call('() => [innerWidth, innerHeight]');
    if (!this.around) {
      const outer = await ask('GET', `${this.address}/window/rect`);
      const [columns, rows] = await inner();
      this.around = [outer.width - columns, outer.height - rows];
    }
    const [across, down] = this.around;
    await this.post('window/rect', { width: width + across, height: height + down });
    const end = performance.now() + RESIZE_MS;
    const isDone = ([columns, rows]) => columns === width && rows === height;
    while (!isDone(await inner()) && performance.now() < end) await pause(20);
  }

  async screenshot() {
    return ask('GET', `${this.address}/screenshot`);
  }
}
