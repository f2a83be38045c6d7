/** "Several voices": puts a mark into the text from which on another voice speaks. */

import { button, field, make, type } from "./element.js";
import { addTexts, locale, t } from "./i18n.js";
import { texts } from "./texts-features.js";
import { fill, primary, voiceGroups } from "./voices.js";

/**
 * Show the fields.
 * @param {HTMLElement} box
 * @param {import("./element.js").Found} text
 * @param {import("./voices.js").Voice[]} voices of the server
 */
export function showSpeakers(box, text, voices) {
  addTexts(texts);
  const voice = make("select", { id: "speakers-voice" });
  const own = voices.find(({ language }) => primary(language) === locale);
  fill(voice, voiceGroups(voices, "", t("voice.kept")), own?.id);
  const insert = button(t("speakers.voice"), () => put(text, `[voice:${voice.value}] `, true));
  const pause = button(t("speakers.pause"), () => put(text, " [pause:1s] ", false));
  box.replaceChildren(field(voice, t("voice.label")), make("div", { className: "actions" }, insert, pause));
  box.after(make("p", { className: "note", textContent: t("speakers.note") }));
}

/** Put a mark where the cursor is, on a line of its own if there is text before it. */
function put(text, mark, line) {
  const { selectionStart: at, value } = text;
  const breaks = line && /[^\n]$/.test(value.slice(0, at)) ? "\n" : "";
  text.focus();
  type(text, breaks + mark);
}
