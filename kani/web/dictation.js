/** Dictation: words go where the text cursor is, as they are recognised. */

import { query, type } from "./element.js";
import { t } from "./i18n.js";
import { Listener } from "./listener.js";
import { Microphone } from "./microphone.js";
import { between } from "./transcript.js";

export class Dictation {
  #server;
  #field;
  #button;
  #complain;
  #listener = null;
  #busy = false;

  /**
   * @param {import("./server.js").Server} server
   * @param {import("./element.js").Found} field
   * @param {HTMLElement} button pressed while it listens
   * @param {(words: string) => void} complain called with what is wrong, "" for nothing
   */
  constructor(server, field, button, complain) {
    this.#server = server;
    this.#field = field;
    this.#button = button;
    this.#complain = complain;
  }

  /** Begin, or end. */
  async toggle(language) {
    if (this.#busy) return;
    this.#busy = true;
    if (this.#listener) await this.#finish();
    else await this.#begin(language);
    this.#busy = false;
  }

  /** End, if it listens. */
  async stop() {
    if (this.#listener) await this.toggle("");
  }

  async #begin(language) {
    this.#complain("");
    if (!Microphone.possible) return this.#complain(t("clone.insecure"));
    try {
      this.#listener = await Listener.begin(this.#server, language, {
        word: ({ text }) => this.#type(text),
        pause: () => {},
        level: () => {},
        lost: (error) => {
          this.#complain(error.words);
          this.#ended();
        },
      });
      this.#button.setAttribute("aria-pressed", "true");
      this.#name("dictate.stop");
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      this.#complain(t("clone.microphone"));
    }
  }

  async #finish() {
    await this.#listener.finish();
    this.#ended();
  }

  #ended() {
    this.#listener = null;
    this.#button.setAttribute("aria-pressed", "false");
    this.#name("dictate");
  }

  /** Say what the button does. */
  #name(words) {
    query("span", this.#button).textContent = t(words);
  }

  #type(word) {
    const { value, selectionStart, selectionEnd } = this.#field;
    const space = between(value.slice(0, selectionStart), word);
    const after = /^\S/u.test(value.slice(selectionEnd)) ? " " : "";
    type(this.#field, space + word + after);
  }
}
