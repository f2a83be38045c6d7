/** A canvas in the page's own colours, sharp on every screen, drawn anew when its size or the colours change. */

export class Canvas {
  #element;
  #pen;
  #colours = new Map();

  /**
   * @param {HTMLElement} element a canvas
   * @param {() => void} redraw
   */
  constructor(element, redraw) {
    const canvas = /** @type {HTMLCanvasElement} */ (element);
    this.#element = canvas;
    this.#pen = canvas.getContext("2d");
    new ResizeObserver(() => {
      const scale = window.devicePixelRatio;
      canvas.width = Math.round(element.clientWidth * scale);
      canvas.height = Math.round(element.clientHeight * scale);
      redraw();
    }).observe(element);
    const recolour = () => {
      this.#colours.clear();
      redraw();
    };
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Clear the canvas; return its context, its size in CSS pixels, and `colour`, which reads a custom property. */
  clear() {
    const scale = window.devicePixelRatio;
    this.#pen.setTransform(scale, 0, 0, scale, 0, 0);
    const { clientWidth: width, clientHeight: height } = this.#element;
    this.#pen.clearRect(0, 0, width, height);
    const colour = (name) => {
      if (!this.#colours.has(name)) this.#colours.set(name, getComputedStyle(this.#element).getPropertyValue(name).trim());
      return this.#colours.get(name);
    };
    return { pen: this.#pen, width, height, colour };
  }
}
