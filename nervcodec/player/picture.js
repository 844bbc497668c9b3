// @ts-check
/** The picture of one video on a canvas, turned and mirrored as its display matrix says. */

export class Picture {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d', { alpha: false });
    this.stored = null;
  }

  /**
   * Take the shape of a video.
   * @param {import('./description.js').Shape} shape
   * @param {number} scale by which the browser enlarges pictures as well as it can
   */
  setShape(shape, scale = 1) {
    this.shape = shape;
    this.smooth = scale;
    this.resize(1);
  }

  /**
   * Take images of so many times the rows and columns of the video.
   * @param {number} factor
   */
  resize(factor) {
    const { shape } = this;
    const scale = Math.max(this.smooth, factor);
    this.factor = factor;
    this.scale = scale / factor;
    this.canvas.width = scale * (shape.isTurned ? shape.height : shape.width);
    this.canvas.height = scale * (shape.isTurned ? shape.width : shape.height);
    this.stored = (shape.matrix || scale > factor) && document.createElement('canvas');
    if (this.stored) {
      this.stored.width = factor * shape.width;
      this.stored.height = factor * shape.height;
    }
  }

  /** @param {ImageData} image a decoded frame, or one of a multiple of its size */
  draw(image) {
    const factor = image.width / this.shape.width;
    if (factor !== this.factor) {
      this.resize(factor);
    }
    if (!this.stored) {
      this.context.putImageData(image, 0, 0);
      return;
    }
    this.stored.getContext('2d').putImageData(image, 0, 0);
    const [a, b, c, d] = (this.shape.matrix ?? [1, 0, 0, 1]).map((value) => value * this.scale);
    this.context.setTransform(a, b, c, d, this.canvas.width / 2, this.canvas.height / 2);
    this.context.imageSmoothingEnabled = this.scale > 1;
    this.context.imageSmoothingQuality = 'high';
    this.context.drawImage(this.stored, -image.width / 2, -image.height / 2);
  }
}
