/** Which frame of a file is on the screen at a time. Times count from the start of its first frame. */

export class Schedule {
  /** @param {import('./container.js').NvppFile} file */
  constructor(file) {
    this.file = file;
    this.nFrames = file.nFrames;
    this.start = file.timeOf(0);
    this.duration = this.timeOf(this.nFrames);
  }

  /** Seconds at which frame n begins, of nFrames those at which the last one ends. */
  timeOf(n) {
    return this.file.timeOf(n) - this.start;
  }

  /** The frame that is shown at a time, of one beyond the ends the first or last. */
  frameAt(seconds) {
    let low = 0;
    let high = this.nFrames - 1;
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

  /** The coded frame that frame n shows. */
  codedFrame(n) {
    return this.file.codedFrame(n);
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
