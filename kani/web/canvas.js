/** A canvas in the page's own colours, sharp on every screen, drawn anew when its size or the colours change. */

/** Fill a bar with round ends, that is as high as ``tall`` around ``middle``. */
export function fillBar(pen, left, middle, wide, tall, round = wide / 2) {
  pen.beginPath();
  pen.roundRect(left, middle - tall / 2, wide, tall, round);
  pen.fill();
}

/** Return a function that clears a canvas: each call returns its context, its size in CSS pixels, and `colour`, which reads a custom property. @param {HTMLElement} element a canvas @param {() => void} redraw */
export function canvasOf(element, redraw) {
  const canvas = /** @type {HTMLCanvasElement} */ (element);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name);
  new ResizeObserver(() => {
    const scale = window.devicePixelRatio;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    redraw();
  }).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return () => {
    const scale = window.devicePixelRatio;
    const { clientWidth: width, clientHeight: height } = canvas;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    return { pen, width, height, colour };
  };
}
