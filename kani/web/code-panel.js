/** "Use this in code": the request of the form as code, to be copied. */

import { copied } from "./clipboard.js";
import { CODES, codeSample, INTERFACES } from "./code-samples.js";
import { find } from "./element.js";
import { t } from "./i18n.js";
import { fill } from "./voices.js";

/**
 * Fill the panel; returns what writes the code anew, if it is to be seen.
 * @param {() => {choice: Record<string, any>, key: boolean}} request what is chosen now, and whether a key is needed
 */
export function codePanel(request) {
  const write = () => {
    if (!find("code").open) return;
    const { choice, key } = request();
    const base = new URL(".", document.baseURI).href;
    find("code-text").textContent = codeSample(base, choice, find("code-interface").value, find("code-language").value, key);
    find("code-state").textContent = "";
  };
  fill(find("code-interface"), [["", Object.entries(INTERFACES)]], "openai");
  fill(find("code-language"), [["", Object.entries(CODES)]], "curl");
  for (const id of ["code-interface", "code-language"]) find(id).addEventListener("change", write);
  find("code").addEventListener("toggle", write);
  find("compose").addEventListener("input", write);
  find("code-copy").addEventListener("click", async () => (find("code-state").textContent = t(`code.${await copied(find("code-text"))}`)));
  return write;
}
