/** Dictation: words go where the text cursor is, as they are recognised. */

import { find, query, type } from "./element.js";
import { complain, expected } from "./failures.js";
import { t } from "./i18n.js";
import { Listener } from "./listener.js";
import { Microphone } from "./microphone.js";
import { between } from "./transcript.js";

export class Dictation {
  #field = find("text");
  #button = find("dictate");
  #listener = null;
  #busy = false;

  /** Begin, or end. */
  async toggle(language) {
    if (this.#busy) return;
    this.#busy = true;
    if (this.#listener) await this.#listener.finish().then(() => this.#listens(null));
    else await this.#begin(language);
    this.#busy = false;
  }

  /** End, if it listens. */
  stop = () => this.#listener && this.toggle("");

  async #begin(language) {
    complain("");
    if (!Microphone.possible) return complain(t("clone.insecure"));
    const lost = (error, again) => {
      complain(error.words);
      if (!again) this.stop();
    };
    const back = () => complain("");
    const word = ({ text }) => {
      const { value, selectionStart, selectionEnd } = this.#field;
      const after = /^\S/u.test(value.slice(selectionEnd)) ? " " : "";
      type(this.#field, between(value.slice(0, selectionStart), text) + text + after);
      // A field follows the cursor of keys only.
      if (selectionEnd === value.length) this.#field.scrollTop = this.#field.scrollHeight;
    };
    await Listener.begin(language, { word, lost, back }).then((listener) => this.#listens(listener), expected([DOMException], () => complain(t("clone.microphone"))));
  }

  /** Have a listener, or none (null), and say what the button does then. */
  #listens(listener) {
    this.#listener = listener;
    this.#button.ariaPressed = String(listener !== null);
    query("span", this.#button).textContent = t(listener ? "dictate.stop" : "dictate");
  }
}
