/** "Repeat after me": what was said is spoken in the chosen voice, each word lit in the transcript meanwhile. */

import { eachFrame, find } from "./element.js";
import { t } from "./i18n.js";
import { textOf } from "./transcript.js";

export class Repeat {
  #acts;
  #view;

  /**
   * @param {Record<string, any>} acts say(text, language), place(), voice() and own(), as `ListenPanel` has them
   * @param {import("./transcript-view.js").TranscriptView} view
   */
  constructor(acts, view) {
    this.#acts = acts;
    this.#view = view;
    find("listen-repeat").addEventListener("change", () => this.show());
    find("listen-own").addEventListener("click", () => {
      find("listen-repeat").checked = true;
      this.#acts.own();
    });
    find("voice").addEventListener("chosen", () => this.show());
    this.show();
  }

  /** Show in which voice is repeated. */
  show() {
    const { name, hue } = this.#acts.voice();
    find("listen-voice").textContent = t("listen.voice", { voice: name });
    find("listen-face").style.setProperty("--hue", hue);
  }

  /** Whether it is wanted. */
  get wanted() {
    return find("listen-repeat").checked;
  }

  /** Speak the last paragraph, rows of a transcript; done once it was heard, with what was wrong, in words. */
  async say(rows) {
    const repeating = this.#acts.say(textOf(...rows), find("listen-language").value);
    const stop = this.#follow(rows.flatMap(({ words }) => words));
    const problem = await repeating;
    stop();
    this.#view.light(null);
    return problem;
  }

  /** Light each of the last words that are shown while they are repeated; returns what ends that. */
  #follow(words) {
    let length = 0;
    const places = this.#view.words.slice(-words.length).map(({ element }, n) => {
      if (n > 0 && !words[n].glued) length++;
      const from = length;
      length += [...words[n].text].length;
      return { element, from };
    });
    return eachFrame(() => {
      const place = this.#acts.place();
      this.#view.light(places.findLast(({ from }) => from <= place)?.element ?? null);
    });
  }
}
