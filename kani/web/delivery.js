/** Manners of speaking: the speeds of playback, and a slider for the speed of speech. */

import { find } from "./element.js";
import { number, t } from "./i18n.js";
import { remember } from "./storage.js";

/** Seconds of speech in a second of playback. */
const TEMPOS = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.25, 1.3, 1.4, 1.5, 1.75, 2, 2.5, 3];

/** Offer the speeds of playback in a list; this browser remembers the choice. changed: called with it now and after each change. */
export function offerTempos(list, changed) {
  list.append(...TEMPOS.map((tempo) => new Option(t("times", { n: number(tempo, String(tempo).slice(2).length) }), String(tempo), tempo === 1, tempo === 1)));
  remember(list, "kani.tempo", (tempo) => changed(Number(tempo)));
}

/** The slider of the speed: a step multiplies it, so that 1× is in the middle between a quarter and four times. */
export class SpeedSlider {
  #slider = find("speed");
  #speed = 1;

  constructor() {
    this.#slider.addEventListener("input", () => (this.value = Math.round(100 * 2 ** this.#slider.valueAsNumber) / 100));
  }

  /** The speed, which may be between two steps of the slider; what is no speed becomes 1. */
  get value() {
    return this.#speed;
  }

  set value(speed) {
    const { min, max } = this.#slider;
    this.#speed = Number.isFinite(speed) ? Math.min(Math.max(speed, 2 ** Number(min)), 2 ** Number(max)) : 1;
    this.#slider.valueAsNumber = Math.log2(this.#speed);
    find("speed-value").textContent = this.#slider.ariaValueText = t("times", { n: number(this.#speed, this.#speed % 1 ? 2 : 0) });
  }
}
