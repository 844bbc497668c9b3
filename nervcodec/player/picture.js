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
    this.scale = scale;
    this.canvas.width = scale * (shape.isTurned ? shape.height : shape.width);
    this.canvas.height = scale * (shape.isTurned ? shape.width : shape.height);
    this.stored = (shape.matrix || scale > 1) && document.createElement('canvas');
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
    const turned = (matrix ?? [1, 0, 0, 1]).map((value) => value * this.scale);
    this.context.setTransform(...turned, this.canvas.width / 2, this.canvas.height / 2);
    this.context.imageSmoothingEnabled = this.scale > 1;
    this.context.imageSmoothingQuality = 'high';
    this.context.drawImage(this.stored, -width / 2, -height / 2);
  }
}
