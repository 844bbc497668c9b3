/** Firefox, driven by WebDriver BiDi over its own WebSocket. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Page } from './browser_page.mjs';
import { openScreen } from './browser_screen.mjs';

const LISTENS = /WebDriver BiDi listening on (ws:\S+)/;

/**
 * Open a browser on a display in memory, or without a window where there is no Xvfb:
 * {page, version, complaints, requests, close}.
 */
export async function openFirefox({ executable, screen, viewport }) {
  const profile = mkdtempSync(join(tmpdir(), 'firefox-'));
  const display = screen ? await openScreen() : null;
  const options = ['--remote-debugging-port', '0', '--profile', profile];
  const child = spawn(executable, display ? options : ['--headless', ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: display?.env ?? process.env,
  });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  const session = await Session.open(`${await addressOf(child)}/session`);
  const { capabilities } = await session.send('session.new', { capabilities: {} });
  const events = ['log.entryAdded', 'network.beforeRequestSent'];
  await session.send('session.subscribe', { events });
  const { contexts } = await session.send('browsingContext.getTree', {});
  const tab = new Tab(session, contexts[0].context);
  await tab.resize(viewport);
  return {
    page: new Page(tab),
    version: capabilities.browserVersion,
    complaints: () => session.seen('log.entryAdded').map(({ text }) => text),
    requests: () => session.seen('network.beforeRequestSent').map(({ request }) => request.url),
    close: async () => {
      await session.send('browser.close', {});
      await ended;
      display?.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Where a browser that starts says that it listens. */
function addressOf(child) {
  return new Promise((resolve, reject) => {
    let said = '';
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`the browser ended with ${code}: ${said}`)));
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
      const found = LISTENS.exec(said);
      if (found) resolve(found[1]);
    });
  });
}

/** Commands and their answers, and all events so far. */
class Session {
  static async open(address) {
    const socket = new WebSocket(address);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error(`no connection to ${address}`));
    });
    return new Session(socket);
  }

  constructor(socket) {
    this.socket = socket;
    this.pending = new Map();
    this.events = [];
    this.nSent = 0;
    socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
  }

  receive(message) {
    if (message.type === 'event') {
      this.events.push(message);
      return;
    }
    const { resolve, reject } = this.pending.get(message.id);
    this.pending.delete(message.id);
    if (message.type === 'error') reject(new Error(`${message.error}: ${message.message}`));
    else resolve(message.result);
  }

  send(method, params) {
    const id = ++this.nSent;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  seen(method) {
    return this.events.filter((event) => event.method === method).map(({ params }) => params);
  }
}

class Tab {
  constructor(session, context) {
    this.session = session;
    this.context = context;
  }

  send(method, params) {
    return this.session.send(method, { context: this.context, ...params });
  }

  async call(code, argument) {
    const { result, exceptionDetails } = await this.session.send('script.callFunction', {
      functionDeclaration: `async (json) => JSON.stringify(await (${code})(JSON.parse(json)))`,
      arguments: [{ type: 'string', value: JSON.stringify(argument ?? null) }],
      target: { context: this.context },
      awaitPromise: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.text);
    return result.value === undefined ? undefined : JSON.parse(result.value);
  }

  async before(code) {
    await this.session.send('script.addPreloadScript', { functionDeclaration: code });
  }

  async perform(actions) {
    await this.send('input.performActions', { actions });
  }

  async navigate(url) {
    await this.send('browsingContext.navigate', { url, wait: 'complete' });
  }

  async resize(viewport) {
    await this.send('browsingContext.setViewport', { viewport });
  }

  async screenshot() {
    return (await this.send('browsingContext.captureScreenshot', {})).data;
  }
}
