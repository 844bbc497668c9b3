// @ts-check
/** Which coded frame is shown when (sections 2.10 and 2.11 of nvpp-format.md). */

/** @typedef {import('./extras.js').Repeats} Repeats */
/** @typedef {import('./extras.js').Times} Times */

/** The shown frames of a file: their coded frames and their times. */
export class Timeline {
  /**
   * @param {number} nShown frames
   * @param {Repeats | null} repeats
   * @param {Times | null} times
   * @param {number} rate frames a second
   */
  constructor(nShown, repeats, times, rate) {
    this.nShown = nShown;
    this.rate = rate;
    this.times = times;
    this.repeats = repeats ?? { codedFrames: [nShown], shownTimes: [1] };
    this.shownEnds = sums(this.repeats.codedFrames.map((n, i) => n * this.repeats.shownTimes[i]));
    this.codedEnds = sums(this.repeats.codedFrames);
    this.stepEnds = sums(times?.counts ?? []);
    this.ticks = sums((times?.counts ?? []).map((n, i) => n * (times?.steps[i] ?? 0)));
  }

  /**
   * The coded frame of a shown one.
   * @param {number} shown from 0
   * @returns {number} number within the file, from 0
   */
  codedFrame(shown) {
    this.check(shown);
    const run = firstAbove(this.shownEnds, shown);
    const before = run > 0 ? this.shownEnds[run - 1] : 0;
    const coded = run > 0 ? this.codedEnds[run - 1] : 0;
    return coded + Math.floor((shown - before) / this.repeats.shownTimes[run]);
  }

  /**
   * When a shown frame begins.
   * @param {number} shown from 0; n_frames gives the end of the last
   * @returns {number} seconds
   */
  timeOf(shown) {
    const { times } = this;
    if (times === null) {
      return shown / this.rate;
    }
    const unit = times.numerator / times.denominator;
    if (times.steps.length === 0) {
      return times.start * unit + shown / this.rate;
    }
    if (shown >= this.nShown) {
      const last = times.lastDuration || (times.steps.at(-1) ?? 0);
      return this.timeOf(this.nShown - 1) + last * unit;
    }
    // Step i leads from shown frame i to the one behind it.
    const run = firstAbove(this.stepEnds, shown - 1);
    const before = run > 0 ? this.stepEnds[run - 1] : 0;
    const ticks = run > 0 ? this.ticks[run - 1] : 0;
    return (times.start + ticks + (shown - before) * (times.steps[run] ?? 0)) * unit;
  }

  /**
   * @param {number} shown
   * @throws {RangeError}
   */
  check(shown) {
    if (!Number.isInteger(shown) || shown < 0 || shown >= this.nShown) {
      throw new RangeError(`frame is ${shown}; legal: 0 to ${this.nShown - 1}`);
    }
  }
}

/**
 * @param {number[]} values
 * @returns {number[]} the sum of the values up to each, itself included
 */
function sums(values) {
  let sum = 0;
  return values.map((value) => (sum += value));
}

/**
 * @param {number[]} ends rising
 * @param {number} value
 * @returns {number} index of the first end above it
 */
function firstAbove(ends, value) {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > value) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}
