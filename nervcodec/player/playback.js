// @ts-check
/**
 * Which frame is shown when: playing, seeking, stepping, and what happens if decoding is slow. Frames
 * are the pictures of the schedule, of which `parts` make a frame of the video.
 */

const AHEAD = 8; // frames that are asked for beyond the one that is shown
const LONGEST_TICK_S = 0.25; // a page in the background gets none for long

/**
 * @typedef {object} Screen
 * @property {(n: number) => boolean} isReady whether frame n can be drawn at once
 * @property {(ns: number[]) => void} want ask for frames, the most urgent first
 * @property {(n: number) => void} show draw a frame that is ready
 * @property {() => number} decodeSeconds about what a frame takes to come
 * @property {() => number} nAtOnce frames that are decoded at once
 */

export class Playback {
  /**
   * @param {import('./schedule.js').Schedule} schedule
   * @param {Screen} screen
   * @param {() => void} onChange is called when it starts, stops or goes to another frame
   */
  constructor(schedule, screen, onChange) {
    this.schedule = schedule;
    this.screen = screen;
    this.onChange = onChange;
    this.isPlaying = false;
    this.isLooping = true;
    this.showsEvery = false;
    this.speed = 1;
    this.target = 0; // frame that should be on the screen
    this.shown = -1; // frame that is
    this.position = 0; // seconds since the first frame began
    this.nDropped = 0;
    this.nShown = 0;
    this.lastTick = 0;
  }

  /** Begin to play, from the start if the end is reached. */
  play() {
    if (this.isPlaying) {
      return;
    }
    if (!this.isLooping && this.target === this.schedule.nPictures - 1) {
      this.seek(0);
    }
    this.isPlaying = true;
    this.lastTick = 0;
    this.onChange();
  }

  pause() {
    this.isPlaying = false;
    this.position = this.schedule.timeOf(this.target);
    this.request();
    this.onChange();
  }

  toggle() {
    if (this.isPlaying) {
      this.pause();
    } else {
      this.play();
    }
  }

  /** The frame of the video that should be on the screen, a fraction in between. */
  get frame() {
    return this.target / this.schedule.parts;
  }

  /** Take other parts of frames, and stay where it is. */
  use(schedule) {
    const { frame } = this;
    this.schedule = schedule;
    this.seek(frame);
  }

  /** Go to a frame of the video; beyond the ends to the first or last one. */
  seek(frame) {
    this.goTo(Math.floor(frame * this.schedule.parts + 0.5));
  }

  goTo(n) {
    this.target = Math.min(Math.max(n, 0), this.schedule.nPictures - 1);
    this.position = this.schedule.timeOf(this.target);
    this.shown = -1;
    this.request();
    this.showTarget();
    this.onChange();
  }

  /** Go so many seconds on, or back. */
  seekBy(seconds) {
    const time = this.schedule.timeOf(this.target) + seconds;
    this.goTo(this.schedule.pictureAt(Math.max(0, time)));
  }

  /** Stop, and go a number of frames on or back. */
  step(nFrames) {
    this.isPlaying = false;
    const whole = nFrames > 0 ? Math.floor(this.frame) : Math.ceil(this.frame);
    this.seek(whole + nFrames);
  }

  /** Draw what has come since; call it when a frame has been decoded. */
  frameCame() {
    if (!this.isPlaying || this.shown < 0) {
      this.showTarget();
    }
  }

  /** Go on to where playing is at a time of requestAnimationFrame, milliseconds. */
  tick(now) {
    const passed = this.lastTick ? Math.min((now - this.lastTick) / 1000, LONGEST_TICK_S) : 0;
    this.lastTick = now;
    if (!this.isPlaying || this.shown < 0) {
      return;
    }
    const before = this.target;
    this.position += passed * this.speed;
    if (this.position >= this.schedule.duration && !this.turnAround()) {
      return;
    }
    const due = this.schedule.pictureAt(this.position);
    const next = this.showsEvery ? this.nextOfAll(due) : this.latest(due);
    if (next > this.shown) {
      this.present(next);
    }
    this.request();
    if (this.target !== before) {
      this.onChange();
    }
  }

  /** At the end begin again, or stop; return whether it goes on. */
  turnAround() {
    if (this.showsEvery && this.shown < this.schedule.nPictures - 1) {
      return true;
    }
    if (this.isLooping) {
      this.position %= this.schedule.duration;
      this.shown = -1;
      this.target = this.schedule.pictureAt(this.position);
      this.request();
      this.showTarget();
      return true;
    }
    this.target = this.schedule.nPictures - 1;
    this.pause();
    this.showTarget();
    return false;
  }

  /** The last frame up to the one that is due of which none before is missing; wait for it. */
  nextOfAll(due) {
    let next = this.shown;
    while (next < due && this.screen.isReady(next + 1)) {
      next++;
    }
    if (next < due) {
      this.position = this.schedule.timeOf(next + 1);
    }
    return next;
  }

  /** The last frame up to the one that is due that has been decoded. */
  latest(due) {
    for (let n = due; n > this.shown; n--) {
      if (this.screen.isReady(n)) {
        return n;
      }
    }
    return this.shown;
  }

  present(n) {
    for (let missed = this.shown + 1; this.shown >= 0 && missed < n; missed++) {
      this.nDropped += this.screen.isReady(missed) ? 0 : 1;
    }
    this.nShown++;
    this.shown = this.target = n;
    this.screen.show(n);
  }

  showTarget() {
    if (this.shown !== this.target && this.screen.isReady(this.target)) {
      this.nShown++;
      this.shown = this.target;
      this.screen.show(this.target);
    }
  }

  /** Ask for the frames that are needed next. */
  request() {
    const { nPictures } = this.schedule;
    if (!this.isPlaying || this.shown < 0) {
      const near = [0, 1, -1, 2, -2, 3].map((offset) => this.target + offset);
      this.screen.want(near.filter((n) => n >= 0 && n < nPictures));
      return;
    }
    const due = this.schedule.pictureAt(Math.min(this.position, this.schedule.duration));
    const [lead, stride] = this.showsEvery ? [0, 1] : this.pace(due);
    const first = this.showsEvery ? this.shown + 1 : due + lead;
    const wanted = [];
    for (let i = 0; i < AHEAD; i++) {
      const n = first + i * stride;
      if (n < nPictures) {
        wanted.push(n);
      } else if (this.isLooping) {
        wanted.push(n % nPictures);
      }
    }
    this.screen.want(wanted);
  }

  /** Frames that go by while one is decoded, and between those that can be decoded in time. */
  pace(due) {
    const next = Math.min(due + 1, this.schedule.nPictures);
    const frameSeconds = (this.schedule.timeOf(next) - this.schedule.timeOf(due)) / this.speed;
    const nPassing = this.screen.decodeSeconds() / frameSeconds;
    return [Math.floor(nPassing), Math.max(1, Math.ceil(nPassing / this.screen.nAtOnce()))];
  }
}
