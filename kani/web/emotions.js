/** The emotions as chips: a click chooses one and speaks the text in it, which is how they are compared. */

import { t } from "./i18n.js";

export const EMOTIONS = ["neutral", "happy", "sad", "angry", "excited", "calm", "friendly", "professional"];

export class Emotions {
  #box = document.querySelector("#emotions");
  #chips = new Map();
  #value = "";

  /** @param {() => void} chosen called when a chip was clicked */
  constructor(chosen) {
    for (const emotion of EMOTIONS) {
      const chip = Object.assign(document.createElement("button"), { type: "button", textContent: t(`emotion.${emotion}`) });
      chip.value = emotion;
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
