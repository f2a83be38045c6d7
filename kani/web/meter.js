/** The microphone's level: a ring around a button, and bars that run from it to both sides. */

import { canvasOf, fillBar } from "./canvas.js";
import { make } from "./element.js";

/** It is drawn as seldom as still looks live: what draws it, the recogniser may need. */
const EVERY_MS = 100;
const BAR = 3;
const STEP = 6;
/** Pixels between the button and the first bar. */
const MARGIN = 26;
/** Levels that are remembered: more than any screen shows. */
const MOST = 400;

/** The meter of a button: {show(level), 0 to 1; rest(): nothing is heard any more}. @param {HTMLElement} button in a box of its own: the ring is drawn by its property --level, the bars beside it */
export function meterOf(button) {
  const element = make("canvas", { className: "levels", ariaHidden: "true" });
  button.before(element);
  const clear = canvasOf(element, drawBars);
  /** The levels that were drawn, the newest one first. */
  let levels = [];
  /** The loudest since it was drawn, and when that was. */
  let loudest = 0;
  let drawn = 0;

  function draw() {
    button.style.setProperty("--level", loudest.toFixed(2));
    drawn = performance.now();
    loudest = 0;
    drawBars();
  }

  /** Draw the bars, which fade as they go; dots where nothing was heard yet. */
  function drawBars() {
    const { pen, width, height, colour } = clear();
    const middle = width / 2;
    for (let n = 0, away = button.offsetWidth / 2 + MARGIN; away < middle - BAR; n++, away += STEP) {
      const level = levels[n] ?? 0;
      const tall = Math.max(BAR, Math.sqrt(level) * height * 0.9);
      pen.fillStyle = colour(n < levels.length ? "--accent" : "--wave");
      pen.globalAlpha = 1 - away / middle;
      for (const side of [-1, 1]) fillBar(pen, middle + side * away - BAR / 2, height / 2, BAR, tall);
    }
    pen.globalAlpha = 1;
  }

  return {
    show: (level) => {
      loudest = Math.max(level, loudest);
      if (performance.now() < drawn + EVERY_MS) return;
      levels = [loudest, ...levels].slice(0, MOST);
      draw();
    },
    rest: () => {
      loudest = 0;
      levels = [];
      draw();
    },
  };
}
