/** The clipboard, as far as a browser gives the page one. */

import { expected } from "./failures.js";

/** Copy a text; whether that could be done: browsers give a page over plain http no clipboard. */
export async function isCopied(text) {
  const written = navigator.clipboard?.writeText(text).then(() => true, expected([DOMException], () => false));
  return (await written) ?? false;
}

/** Copy a text, by default an element's own; "copied", or "selected" where it could only be prepared for a key. */
export async function copied(element, text = element.textContent) {
  if (await isCopied(text)) return "copied";
  window.getSelection().selectAllChildren(element);
  return "selected";
}
