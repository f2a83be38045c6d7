/** "Repeat after me": what was said is spoken in the chosen voice, each word lit in the transcript meanwhile. */

import { compose } from "./compose.js";
import { eachFrame, find } from "./element.js";
import { t } from "./i18n.js";
import { playback } from "./playback.js";
import { textOf } from "./transcript.js";
import { hueOf, nameOf } from "./voices.js";

export class Repeat {
  #view;

  /**
   * @param {() => void} own chooses the user's own voice
   * @param {import("./transcript-view.js").TranscriptView} view
   */
  constructor(own, view) {
    this.#view = view;
    find("listen-repeat").addEventListener("change", () => this.show());
    find("listen-own").addEventListener("click", () => {
      find("listen-repeat").checked = true;
      own();
    });
    find("voice").addEventListener("chosen", () => this.show());
    this.show();
  }

  /** Show in which voice is repeated. */
  show() {
    find("listen-voice").textContent = t("listen.voice", { voice: nameOf(compose.speaking).split(" · ")[0] });
    find("listen-face").style.setProperty("--hue", hueOf(compose.speaking));
  }

  /** Whether it is wanted. */
  get wanted() {
    return find("listen-repeat").checked;
  }

  /** Speak the last paragraph, rows of a transcript; done once it was heard, with what was wrong, in words. */
  async say(rows) {
    const language = compose.known(find("listen-language").value);
    playback.speak({ ...compose.choice, text: textOf(...rows), language, kept: false });
    const stop = this.#follow(rows.flatMap(({ words }) => words));
    await playback.ended();
    stop();
    this.#view.light(null);
    return find("problem").textContent;
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
      const { place } = playback;
      this.#view.light(places.findLast(({ from }) => from <= place)?.element ?? null);
    });
  }
}
