/** "Use this in code": the request of the form as code, to be copied. */

import { copied } from "./clipboard.js";
import { CODES, codeSample, INTERFACES } from "./code-samples.js";
import { find } from "./element.js";
import { t } from "./i18n.js";
import { fill } from "./voices.js";

export class CodePanel {
  #request;

  /** @param {() => {choice: object, key: boolean}} request what is chosen now, and whether a key is needed */
  constructor(request) {
    this.#request = request;
    fill(find("code-interface"), [["", Object.entries(INTERFACES)]], "openai");
    fill(find("code-language"), [["", Object.entries(CODES)]], "curl");
    for (const id of ["code-interface", "code-language"]) find(id).addEventListener("change", () => this.show());
    find("code").addEventListener("toggle", () => this.show());
    find("compose").addEventListener("input", () => this.show());
    find("code-copy").addEventListener("click", () => this.#copy());
  }

  /** Write the code, if it is to be seen. */
  show() {
    if (!find("code").open) return;
    const { choice, key } = this.#request();
    const base = new URL(".", document.baseURI).href;
    find("code-text").textContent = codeSample(base, choice, find("code-interface").value, find("code-language").value, key);
    find("code-state").textContent = "";
  }

  async #copy() {
    find("code-state").textContent = t(`code.${await copied(find("code-text"))}`);
  }
}
