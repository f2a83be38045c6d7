/** A line at the bottom of the page about what was just taken away, with a button that brings it back. */

import { find } from "./element.js";

/** How long it can be brought back. */
const LASTS_MS = 10_000;

/** What can be brought back, the latest last: {words, undo}. */
let undoings = [];
let ends = 0;

find("toast-undo").addEventListener("click", () => {
  undoings.pop().undo();
  show();
});

function show() {
  find("toast").hidden = undoings.length === 0;
  find("toast-text").textContent = undoings.at(-1)?.words ?? "";
  clearTimeout(ends);
  ends = setTimeout(() => {
    undoings = [];
    show();
  }, LASTS_MS);
}

/** Say what was done; undo: takes it back, and then what was done before it can be. */
export function offerUndo(words, undo) {
  undoings.push({ words, undo });
  show();
}
