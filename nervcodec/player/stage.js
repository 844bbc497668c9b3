// @ts-check
/** The place of the picture: its size on the screen, zoom, and the split between two videos. */

const ZOOMS = ['fit', '0.5', '1', '2', '4', '8'];

export class Stage {
  /** @param {HTMLElement} stage scrolls @param {HTMLElement} frame holds the pictures */
  constructor(stage, frame, divider) {
    this.stage = stage;
    this.frame = frame;
    this.divider = divider;
    this.zoom = 'fit';
    this.width = this.height = 1;
    new ResizeObserver(() => this.layout()).observe(stage);
  }

  /** Take the size of a picture as it is shown, in pixels of the video's height. */
  setSize(width, height) {
    this.width = width;
    this.height = height;
    this.frame.hidden = false;
    this.layout();
  }

  /** Set 'fit', or how many pixels of the screen a pixel takes, with an s smoothly. Return it. */
  setZoom(zoom) {
    const { scrollWidth, scrollHeight, clientWidth, clientHeight } = this.stage;
    const x = (this.stage.scrollLeft + clientWidth / 2) / scrollWidth;
    const y = (this.stage.scrollTop + clientHeight / 2) / scrollHeight;
    this.zoom = zoom;
    this.layout();
    this.stage.scrollLeft = x * this.stage.scrollWidth - clientWidth / 2;
    this.stage.scrollTop = y * this.stage.scrollHeight - clientHeight / 2;
    return zoom;
  }

  /** Zoom a step nearer (1) or farther (-1). Return the value. */
  zoomBy(step) {
    const place = ZOOMS.indexOf(this.zoom.replace('s', '')) + step;
    if (this.zoom === 'fit' && step < 0) {
      return this.zoom;
    }
    return this.setZoom(ZOOMS[Math.min(Math.max(place, 0), ZOOMS.length - 1)]);
  }

  layout() {
    const { clientWidth, clientHeight } = this.stage;
    const fit = Math.min(clientWidth / this.width, clientHeight / this.height);
    const ratio = window.devicePixelRatio || 1;
    const scale = this.zoom === 'fit' ? fit : parseFloat(this.zoom) / ratio;
    this.frame.style.width = `${Math.floor(this.width * scale)}px`;
    this.frame.style.height = `${Math.floor(this.height * scale)}px`;
    this.frame.classList.toggle('pixels', this.zoom !== 'fit' && parseFloat(this.zoom) >= 1);
  }

  /** Show the other picture to the right of a share of the width, 0 to 1; without one, none. */
  split(other, share) {
    this.divider.hidden = !other;
    if (!other) {
      return;
    }
    other.style.clipPath = `inset(0 0 0 ${100 * share}%)`;
    this.divider.style.left = `${100 * share}%`;
  }
}
