/** What is shown, in one place: the body's data-shows names it for the style sheets. */

import { queryAll } from "./element.js";

/** Selectors of elements that are hidden at times, by the names for them. */
const PARTS = {
  book: "#book-open",
  words: "#words",
  player: ".player",
  heard: "#heard",
  transcript: "#transcript",
  results: "#listen-results",
  lines: "#talk-lines",
  setup: "#talk-setup",
};

/** Name what is shown now. The page does so by itself before it is drawn next: call it where a size is read at once. */
export function tellShown() {
  const isShown = (selector) => queryAll(selector).some(({ hidden }) => !hidden);
  const shown = Object.entries(PARTS).filter(([, selector]) => isShown(selector)).map(([name]) => name).join(" ");
  if (document.body.dataset.shows !== shown) document.body.dataset.shows = shown;
}

new MutationObserver(tellShown).observe(document.body, { subtree: true, attributeFilter: ["hidden"] });
