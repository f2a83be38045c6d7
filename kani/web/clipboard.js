/** The clipboard, as far as a browser gives the page one. */

import { t } from "./i18n.js";

/** Copy a text, by default an element's own; returns words that say so. */
export async function copyText(element, text = element.textContent) {
  try {
    await navigator.clipboard.writeText(text);
    return t("code.copied");
  } catch (error) {
    // Browsers give a page over plain http no clipboard: the text is selected, to be copied by a key.
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    window.getSelection().selectAllChildren(element);
    return t("code.selected");
  }
}
