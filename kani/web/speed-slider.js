/** The slider of the speed: a step multiplies it, so that 1× is in the middle between a quarter and four times. */

import { number, t } from "./i18n.js";

export class SpeedSlider {
  #slider = document.querySelector("#speed");
  #shown = document.querySelector("#speed-value");
  #speed = 1;

  constructor() {
    this.#slider.addEventListener("input", () => (this.value = Math.round(100 * 2 ** this.#slider.value) / 100));
  }

  /** The speed, which may be between two steps of the slider; what is no speed becomes 1. */
  get value() {
    return this.#speed;
  }

  set value(speed) {
    const { min, max } = this.#slider;
    this.#speed = Number.isFinite(speed) ? Math.min(Math.max(speed, 2 ** min), 2 ** max) : 1;
    this.#slider.value = Math.log2(this.#speed);
    const words = t("times", { n: number(this.#speed, this.#speed % 1 ? 2 : 0) });
    this.#shown.textContent = words;
    this.#slider.setAttribute("aria-valuetext", words);
  }
}
