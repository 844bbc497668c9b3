// @ts-check
/** Decoded frames, as many as a number of bytes allows; those go first that were asked for longest ago. */

export class FrameCache {
  /** @param {number} maxBytes of all pictures together; one is kept however large it is */
  constructor(maxBytes) {
    this.maxBytes = maxBytes;
    this.nBytes = 0;
    this.pictures = new Map();
  }

  has(number) {
    return this.pictures.has(number);
  }

  /** Return the picture of a frame, undefined where there is none. */
  get(number) {
    const picture = this.pictures.get(number);
    if (picture) {
      this.pictures.delete(number);
      this.pictures.set(number, picture);
    }
    return picture;
  }

  set(number, picture) {
    this.delete(number);
    this.pictures.set(number, picture);
    this.nBytes += picture.data.byteLength;
    for (const oldest of this.pictures.keys()) {
      if (this.nBytes <= this.maxBytes || this.pictures.size === 1) {
        break;
      }
      this.delete(oldest);
    }
  }

  delete(number) {
    const picture = this.pictures.get(number);
    if (!picture) {
      return;
    }
    this.nBytes -= picture.data.byteLength;
    this.pictures.delete(number);
  }

  clear() {
    this.pictures.clear();
    this.nBytes = 0;
  }
}
