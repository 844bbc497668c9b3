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
   */
  setShape(shape) {
    this.shape = shape;
    this.canvas.width = shape.isTurned ? shape.height : shape.width;
    this.canvas.height = shape.isTurned ? shape.width : shape.height;
    this.stored = shape.matrix && document.createElement('canvas');
    if (this.stored) {
      this.stored.width = shape.width;
      this.stored.height = shape.height;
    }
  }

  /** @param {ImageData} image a decoded frame */
  draw(image) {
    if (!this.stored) {
      this.context.putImageData(image, 0, 0);
      return;
    }
    this.stored.getContext('2d').putImageData(image, 0, 0);
    const { width, height, matrix } = this.shape;
    this.context.setTransform(...matrix, this.canvas.width / 2, this.canvas.height / 2);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(this.stored, -width / 2, -height / 2);
  }
}
