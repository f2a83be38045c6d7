/** A line at the bottom of the page about what was just taken away, with a button that brings it back. */

import { find } from "./element.js";

/** Time for which something can be brought back. */
const LASTS_MS = 10_000;

/** Acts that can be undone, the latest last: {words, undo, home}. */
let undoings = [];
let ends = 0;

find("toast-undo").addEventListener("click", async ({ detail }) => {
  const { undo, home } = undoings.pop();
  show();
  await undo();
  if (!undoings.length) find(home).focus({ focusVisible: detail === 0 });
});

function show() {
  find("toast").hidden = undoings.length === 0;
  find("toast-text").textContent = undoings.at(-1)?.words ?? "";
  clearTimeout(ends);
  if (undoings.length) ends = setTimeout(end, LASTS_MS);
}

/** Nothing can be brought back any more; but who is about to press the button may. */
function end() {
  if (find("toast").matches(":hover, :focus-within")) return;
  undoings = [];
  show();
}

for (const kind of ["mouseleave", "focusout"]) find("toast").addEventListener(kind, show);

/** Say what was done; returns what ends that it can be taken back. @param {() => Promise<void>|void} undo takes it back; then what was done before it can be @param {string} home id of what has the focus once there is nothing more to be taken back */
export function offerUndo(words, undo, home) {
  const offered = { words, undo, home };
  undoings.push(offered);
  show();
  return () => {
    undoings = undoings.filter((one) => one !== offered);
    show();
  };
}
