/** The microphone's level: a ring around a button, and bars that run from it to both sides. */

import { Canvas } from "./canvas.js";
import { make } from "./element.js";

/** It is drawn as seldom as still looks live: what draws it, the recogniser may need. */
const EVERY_MS = 100;
const BAR = 3;
const STEP = 6;
/** Pixels between the button and the first bar. */
const MARGIN = 26;
/** Levels that are remembered: more than any screen shows. */
const MOST = 400;

export class Meter {
  #button;
  #canvas;
  /** The levels that were drawn, the newest one first. */
  #levels = [];
  /** The loudest since it was drawn, and when that was. */
  #level = 0;
  #drawn = 0;

  /** @param {HTMLElement} button in a box of its own: the ring is drawn by its property --level, the bars beside it */
  constructor(button) {
    this.#button = button;
    const element = make("canvas", { className: "levels", ariaHidden: "true" });
    button.before(element);
    this.#canvas = new Canvas(element, () => this.#drawBars());
  }

  /** Show a level, 0 to 1. */
  show(level) {
    this.#level = Math.max(level, this.#level);
    if (performance.now() < this.#drawn + EVERY_MS) return;
    this.#levels = [this.#level, ...this.#levels].slice(0, MOST);
    this.#draw();
  }

  /** Nothing is heard any more. */
  rest() {
    this.#level = 0;
    this.#levels = [];
    this.#draw();
  }

  #draw() {
    this.#button.style.setProperty("--level", this.#level.toFixed(2));
    this.#drawn = performance.now();
    this.#level = 0;
    this.#drawBars();
  }

  /** Draw the bars, which fade as they go; dots where nothing was heard yet. */
  #drawBars() {
    const { pen, width, height, colour } = this.#canvas.clear();
    const middle = width / 2;
    for (let n = 0, away = this.#button.offsetWidth / 2 + MARGIN; away < middle - BAR; n++, away += STEP) {
      const level = this.#levels[n] ?? 0;
      const tall = Math.max(BAR, Math.sqrt(level) * height * 0.9);
      pen.fillStyle = colour(n < this.#levels.length ? "--accent" : "--wave");
      pen.globalAlpha = 1 - away / middle;
      for (const side of [-1, 1]) {
        pen.beginPath();
        pen.roundRect(middle + side * away - BAR / 2, (height - tall) / 2, BAR, tall, BAR / 2);
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
  }
}
