/** The clipboard, as far as a browser gives the page one. */

/** Copy a text, by default an element's own; "copied", or "selected" where it could only be prepared for a key. */
export async function copied(element, text = element.textContent) {
  try {
    await navigator.clipboard.writeText(text);
    return "copied";
  } catch (error) {
    // Browsers give a page over plain http no clipboard: the text is selected, to be copied by a key.
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    window.getSelection().selectAllChildren(element);
    return "selected";
  }
}
