/** How a text is to be spoken: chips for the emotion, and a slider for the speed. */

import { find, make } from "./element.js";
import { number, t } from "./i18n.js";

export const EMOTIONS = ["neutral", "happy", "sad", "angry", "excited", "calm", "friendly", "professional"];

/** The emotions as chips: a click chooses one and speaks the text in it, which is how they are compared. */
export class Emotions {
  #box = find("emotions");
  #chips = new Map();
  #value = "";

  /** @param {() => void} chosen called when a chip was clicked */
  constructor(chosen) {
    for (const emotion of EMOTIONS) {
      const chip = make("button", { type: "button", value: emotion, textContent: t(`emotion.${emotion}`) });
      chip.addEventListener("click", () => {
        this.value = emotion;
        chosen();
      });
      this.#chips.set(emotion, chip);
    }
    this.#box.append(...this.#chips.values());
    this.#box.addEventListener("keydown", (event) => this.#moves(event));
  }

  /** The emotion that is chosen, one of EMOTIONS; any other value becomes "neutral". */
  get value() {
    return this.#value;
  }

  set value(emotion) {
    this.#value = this.#chips.has(emotion) ? emotion : "neutral";
    for (const [name, chip] of this.#chips) {
      chip.setAttribute("aria-pressed", String(name === this.#value));
      chip.tabIndex = name === this.#value ? 0 : -1;
    }
  }

  /** Arrows move the focus; the toolbar is one stop of the keyboard. */
  #moves(event) {
    const turned = document.documentElement.dir === "rtl" ? -1 : 1;
    const step = { ArrowRight: turned, ArrowLeft: -turned, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const chips = [...this.#chips.values()];
    chips.at((chips.indexOf(document.activeElement) + step) % chips.length).focus();
  }
}

/** The slider of the speed: a step multiplies it, so that 1× is in the middle between a quarter and four times. */
export class SpeedSlider {
  #slider = find("speed");
  #shown = find("speed-value");
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
    const words = t("times", { n: number(this.#speed, this.#speed % 1 ? 2 : 0) });
    this.#shown.textContent = words;
    this.#slider.setAttribute("aria-valuetext", words);
  }
}
