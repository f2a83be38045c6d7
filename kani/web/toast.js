/** A line at the bottom of the page about what was just taken away, with a button that brings it back. */

/** How long it can be brought back. */
const LASTS_MS = 10_000;

const find = (id) => document.querySelector(`#${id}`);
let undoing = () => {};
let ends = 0;

find("toast-undo").addEventListener("click", () => {
  hide();
  undoing();
});

function hide() {
  clearTimeout(ends);
  find("toast").hidden = true;
}

/** Say what was done; undo: takes it back. */
export function offerUndo(words, undo) {
  undoing = undo;
  find("toast-text").textContent = words;
  find("toast").hidden = false;
  clearTimeout(ends);
  ends = setTimeout(hide, LASTS_MS);
}
