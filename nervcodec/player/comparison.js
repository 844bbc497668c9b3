// @ts-check
/** A second video beside the first, at the same times: another .nvpp file, or one of the browser. */

import { Picture } from './picture.js';
import { openVideo } from './video.js';

const MOST_DRIFT_S = 0.08;

/** Another .nvpp file. */
export class CodedComparison {
  /**
   * @param {import('./video.js').Video} video
   * @param {HTMLCanvasElement} canvas
   */
  constructor(video, canvas) {
    this.video = video;
    this.name = video.name;
    this.element = canvas;
    this.picture = new Picture(canvas);
    this.picture.setShape(video.shape);
  }

  isReady(seconds) {
    return this.video.isReady(this.video.schedule.pictureAt(seconds));
  }

  want(times) {
    this.video.want(times.map((seconds) => this.video.schedule.pictureAt(seconds)));
  }

  show(seconds) {
    this.picture.draw(this.video.picture(this.video.schedule.pictureAt(seconds)));
  }

  follow() {}

  close() {
    this.video.close();
  }
}

/** A video that the browser decodes itself. */
export class BrowserComparison {
  /**
   * @param {string} name
   * @param {HTMLVideoElement} element that has loaded it
   * @param {string} url that is released in the end
   */
  constructor(name, element, url) {
    this.name = name;
    this.element = element;
    this.url = url;
  }

  isReady() {
    return true;
  }

  want() {}

  /** Go to a time, if it is not nearly there. */
  show(seconds) {
    const { element } = this;
    const isNear = !element.paused && Math.abs(element.currentTime - seconds) < MOST_DRIFT_S;
    if (!isNear) {
      // Into the frame: its very start may round to the one before.
      element.currentTime = Math.min(seconds + 0.001, element.duration || 0);
    }
  }

  /** Play or stop with the first video. */
  follow(isPlaying, speed) {
    this.element.playbackRate = speed;
    if (isPlaying) {
      this.element.play().catch(() => {});
    } else {
      this.element.pause();
    }
  }

  close() {
    this.element.pause();
    this.element.removeAttribute('src');
    this.element.load();
    URL.revokeObjectURL(this.url);
  }
}

/**
 * Open a file for comparison.
 * @param {File} file
 * @param {{canvas: HTMLCanvasElement, movie: HTMLVideoElement}} elements
 * @param {object} settings of openVideo
 * @throws {Error} a file that neither we nor the browser can play
 */
export async function openComparison(file, elements, settings) {
  if (!/\.(mp4|m4v|mov|webm|mkv)$/i.test(file.name)) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    return new CodedComparison(await openVideo(file.name, bytes, settings), elements.canvas);
  }
  const url = URL.createObjectURL(file);
  const { movie } = elements;
  await new Promise((resolve, reject) => {
    movie.onloadeddata = resolve;
    movie.onerror = () => reject(new Error(`${file.name}: this browser cannot decode it`));
    movie.src = url;
  }).catch((error) => {
    URL.revokeObjectURL(url);
    throw error;
  });
  return new BrowserComparison(file.name, movie, url);
}
