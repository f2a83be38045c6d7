/** "Repeat after me": what was said is spoken in the chosen voice, each word lit in the transcript meanwhile. */

import { compose } from "./compose.js";
import { eachFrame, find } from "./element.js";
import { t } from "./i18n.js";
import { playback } from "./playback.js";
import { textOf } from "./transcript.js";
import { nameOf } from "./voices.js";

/** Have the card act; returns what speaks the last paragraph (rows of a transcript), done once it was heard, with what was wrong, in words. @param {() => void} own chooses the user's own voice @param {import("./transcript-view.js").TranscriptView} view */
export function handleRepeat(own, view) {
  const show = () => (find("listen-voice").textContent = t("listen.voice", { voice: (nameOf(compose.speaking) || t("voice.default")).split(" · ")[0] }));
  find("listen-own").addEventListener("click", () => {
    find("listen-repeat").checked = true;
    own();
  });
  find("voice").addEventListener("chosen", show);
  show();

  return async (rows) => {
    const language = compose.known(find("listen-language").value);
    playback.speak({ ...compose.choice, text: textOf(...rows), language, kept: false });
    const stop = follow(view, rows.flatMap(({ words }) => words));
    await playback.ended();
    stop();
    view.light(null);
    return find("problem").textContent;
  };
}

/** Light each of the last words that are shown while they are repeated; returns what ends that. */
function follow(view, words) {
  let length = 0;
  const places = view.words.slice(-words.length).map(({ element }, n) => {
    if (n > 0 && !words[n].glued) length++;
    const from = length;
    length += [...words[n].text].length;
    return { element, from };
  });
  return eachFrame(() => {
    const { place } = playback;
    view.light(places.findLast(({ from }) => from <= place)?.element ?? null);
  });
}
