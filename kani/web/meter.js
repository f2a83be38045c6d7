/** The microphone's level, as a ring around a button. */

/** It is drawn as seldom as still looks live: what draws it, the recogniser may need. */
const EVERY_MS = 100;

export class Meter {
  #button;
  /** The loudest since it was drawn, and when that was. */
  #level = 0;
  #drawn = 0;

  /** @param {HTMLElement} button that the ring is drawn around, by its property --level */
  constructor(button) {
    this.#button = button;
  }

  /** Show a level, 0 to 1. */
  show(level) {
    this.#level = Math.max(level, this.#level);
    if (performance.now() >= this.#drawn + EVERY_MS) this.#draw();
  }

  /** Nothing is heard any more. */
  rest() {
    this.#level = 0;
    this.#draw();
  }

  #draw() {
    this.#button.style.setProperty("--level", this.#level.toFixed(2));
    this.#drawn = performance.now();
    this.#level = 0;
  }
}
