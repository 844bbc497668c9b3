// @ts-check
/**
 * Which picture of a file is on the screen at a time. Times count from the start of its first frame.
 * Pictures are its frames or, with more parts, those and times between them: a frame's parts follow it.
 */

export class Schedule {
  /**
   * @param {import('./container.js').NvppFile} file
   * @param {number} parts pictures for each frame
   */
  constructor(file, parts = 1) {
    this.file = file;
    this.parts = parts;
    this.nFrames = file.nFrames;
    this.nPictures = parts * (file.nFrames - 1) + 1;
    this.start = file.timeOf(0);
    this.duration = file.timeOf(file.nFrames) - this.start;
  }

  /** Seconds at which picture n begins, of nPictures those at which the last one ends. */
  timeOf(n) {
    if (n >= this.nPictures) {
      return this.duration;
    }
    const frame = Math.floor(n / this.parts);
    const time = this.file.timeOf(frame) - this.start;
    const part = n / this.parts - frame;
    return part ? time + part * (this.file.timeOf(frame + 1) - this.start - time) : time;
  }

  /** The picture that is shown at a time, of one beyond the ends the first or last. */
  pictureAt(seconds) {
    let low = 0;
    let high = this.nPictures - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.timeOf(middle) <= seconds + 1e-9) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  /** The coded frame that picture n shows; a fraction between two of one shot. */
  codedFrame(n) {
    const { file } = this;
    const frame = Math.floor(n / this.parts);
    const part = n / this.parts - frame;
    const coded = file.codedFrame(frame);
    return part && this.isInShot(coded, file.codedFrame(frame + 1)) ? coded + part : coded;
  }

  isInShot(coded, next) {
    const [a, b] = [coded, next].map((n) => this.file.locate(n));
    let end = 0;
    const ends = this.file.segments[a.segment].shots.map((n) => (end += n));
    return next === coded + 1 && a.segment === b.segment && !ends.includes(b.frame);
  }
}

/** Minutes, seconds and milliseconds: 75.5 -> '1:15.500'. */
export function timeText(seconds) {
  const milliseconds = Math.round(Math.max(0, seconds) * 1000);
  const rest = String(milliseconds % 60000).padStart(5, '0');
  const minutes = Math.floor(milliseconds / 60000);
  const hours = Math.floor(minutes / 60);
  const tail = `${rest.slice(0, 2)}.${rest.slice(2)}`;
  return hours ? `${hours}:${String(minutes % 60).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`;
}
