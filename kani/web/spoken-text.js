/** "As it is spoken": the text of a result with its numbers, dates and signs in words. */

import { t } from "./i18n.js";
import { inWords, server } from "./server.js";
import { MARK } from "./words.js";
import "./texts-features.js";

/** The utterance that was asked for last: an older answer may come after its own. */
let latest = null;

/** Show the text of an utterance as it is spoken: the server speaks it once more, and returns the words. @param {HTMLElement} box @param {import("./utterance.js").Utterance} utterance */
export async function showSpokenText(box, utterance) {
  const { choice, result } = utterance;
  latest = utterance;
  box.textContent = t("spoken.asking");
  const voice = encodeURIComponent(result?.voice || choice.voice || "default");
  const body = { text: choice.text.replace(MARK, " "), language_code: result?.language || choice.language || undefined };
  const spoken = await server.post(`v1/text-to-speech/${voice}/with-timestamps`, body)
    .then(async (answer) => (await answer.json()).normalized_alignment.characters.join(""), inWords((words) => words));
  if (latest !== utterance) return;
  box.textContent = spoken;
  box.dir = "auto";
}
