/** A page of a browser that speaks WebDriver, with those methods of playwright's that tests use. */

const KEYS = {
  Enter: '\uE007',
  End: '\uE010',
  Home: '\uE011',
  ArrowLeft: '\uE012',
  ArrowUp: '\uE013',
  ArrowRight: '\uE014',
  ArrowDown: '\uE015',
};
const POLL_MS = 20;
const MOST_MS = 30_000;

/** Wait. */
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const strokes = (keys) => ({
  type: 'key',
  id: 'keyboard',
  actions: keys.flatMap((key) =>
    ['keyDown', 'keyUp'].map((type) => ({ type, value: KEYS[key] ?? key })),
  ),
});

const DOWN = { type: 'pointerDown', button: 0 };
const UP = { type: 'pointerUp', button: 0 };
const moveTo = (x, y) => ({ type: 'pointerMove', x: Math.round(x), y: Math.round(y) });
const moves = (...actions) => ({ type: 'pointer', id: 'mouse', actions });

export class Page {
  /**
   * @param {object} browser
   * @param {(code: string, argument: any) => Promise<any>} browser.call a function of the page
   * @param {(actions: object[]) => Promise<void>} browser.perform actions of WebDriver
   * @param {(url: string) => Promise<void>} browser.navigate
   * @param {(size: {width: number, height: number}) => Promise<void>} browser.resize
   * @param {() => Promise<string>} browser.screenshot a PNG in base64
   * @param {(code: string) => Promise<void>} browser.before runs a function in each new page
   */
  constructor(browser) {
    this.browser = browser;
    this.keyboard = { press: (key) => browser.perform([strokes([key])]) };
    this.mouse = {
      move: (x, y) => browser.perform([moves(moveTo(x, y))]),
      down: () => browser.perform([moves(DOWN)]),
      up: () => browser.perform([moves(UP)]),
      click: (x, y) => browser.perform([moves(moveTo(x, y), DOWN, UP)]),
    };
  }

  async goto(url) {
    this.url = url;
    await this.browser.navigate(url);
  }

  reload() {
    return this.browser.navigate(this.url);
  }

  evaluate(code, argument) {
    return this.browser.call(String(code), argument);
  }

  addInitScript(code) {
    return this.browser.before(String(code));
  }

  setViewportSize(size) {
    return this.browser.resize(size);
  }

  async screenshot() {
    return Buffer.from(await this.browser.screenshot(), 'base64');
  }

  waitForTimeout(milliseconds) {
    return pause(milliseconds);
  }

  async waitForFunction(code, argument) {
    const end = performance.now() + MOST_MS;
    while (!(await this.evaluate(code, argument))) {
      if (performance.now() > end) throw new Error(`waited ${MOST_MS} ms for ${code}`);
      await pause(POLL_MS);
    }
  }

  /** That an element is seen. */
  async waitForSelector(selector) {
    await this.waitForFunction((s) => document.querySelector(s)?.getClientRects().length, selector);
  }

  async isVisible(selector) {
    return (await this.boundingBox(selector)).width > 0;
  }

  async isHidden(selector) {
    return !(await this.isVisible(selector));
  }

  textContent(selector) {
    return this.evaluate((s) => document.querySelector(s).textContent, selector);
  }

  inputValue(selector) {
    return this.evaluate((s) => document.querySelector(s).value, selector);
  }

  getAttribute(selector, name) {
    return this.evaluate(([s, n]) => document.querySelector(s).getAttribute(n), [selector, name]);
  }

  boundingBox(selector) {
    return this.evaluate((s) => document.querySelector(s).getBoundingClientRect(), selector);
  }

  focus(selector) {
    return this.evaluate((s) => document.querySelector(s).focus(), selector);
  }

  locator(selector) {
    return { boundingBox: () => this.boundingBox(selector), focus: () => this.focus(selector) };
  }

  async click(selector) {
    await this.waitForSelector(selector);
    const box = await this.boundingBox(selector);
    await this.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  }

  /** Type in place of what a field has, or move a slider. */
  async fill(selector, value) {
    const isSlider = await this.evaluate((s) => document.querySelector(s).type === 'range', selector);
    await this.focus(selector);
    if (isSlider) {
      await this.selectOption(selector, value);
      return;
    }
    await this.evaluate((s) => document.querySelector(s).select(), selector);
    await this.browser.perform([strokes([...value])]);
  }

  selectOption(selector, value) {
    return this.evaluate(
      ([s, text]) => {
        const element = document.querySelector(s);
        element.value = text;
        element.dispatchEvent(new Event('input', { bubbles: true }));
        element.dispatchEvent(new Event('change', { bubbles: true }));
      },
      [selector, value],
    );
  }

  setInputFiles(selector, { name, buffer }) {
    return this.evaluate(
      ([s, fileName, base64]) => {
        const element = document.querySelector(s);
        const { items, files } = new DataTransfer();
        items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], fileName));
        element.files = files;
        element.dispatchEvent(new Event('change', { bubbles: true }));
      },
      [selector, name, buffer.toString('base64')],
    );
  }
}
