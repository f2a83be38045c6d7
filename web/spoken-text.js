/** "As it is spoken": the text of a result with its numbers, dates and signs in words. */

import { addTexts, t } from "./i18n.js";
import { ServerError } from "./server.js";
import { texts } from "./texts-features.js";

const MARK = /\[(voice|pause):[^[\]\n]*\]/gi;

/**
 * Show the text of an utterance as it is spoken: the server speaks it once more, and tells the words.
 * @param {HTMLElement} box
 * @param {Utterance} utterance
 * @param {Server} server
 */
export async function showSpokenText(box, { choice, result }, server) {
  addTexts(texts);
  box.textContent = t("spoken.asking");
  const voice = encodeURIComponent(result?.voice || choice.voice || "default");
  const body = { text: choice.text.replace(MARK, " "), language_code: result?.language || choice.language || undefined };
  try {
    const answer = await server.post(`v1/text-to-speech/${voice}/with-timestamps`, body);
    box.textContent = (await answer.json()).normalized_alignment.characters.join("");
    box.dir = "auto";
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    box.textContent = error.words;
  }
}
