/** "Several voices": puts a mark into the text from which on another voice speaks. */

import { addTexts, locale, t } from "./i18n.js";
import { texts } from "./texts-features.js";
import { fill, primary, voiceGroups } from "./voices.js";

/**
 * Show the fields.
 * @param {HTMLElement} box
 * @param {HTMLTextAreaElement} text
 * @param {object[]} voices of the server
 */
export function showSpeakers(box, text, voices) {
  addTexts(texts);
  const voice = Object.assign(document.createElement("select"), { id: "speakers-voice" });
  const own = voices.find(({ language }) => primary(language) === locale);
  fill(voice, voiceGroups(voices, "", t("voice.kept")), own?.id);
  const label = Object.assign(document.createElement("label"), { htmlFor: voice.id, textContent: t("voice.label") });
  const field = Object.assign(document.createElement("div"), { className: "field" });
  field.append(label, voice);
  const insert = button("speakers.voice", () => put(text, `[voice:${voice.value}] `, true));
  const pause = button("speakers.pause", () => put(text, " [pause:1s] ", false));
  const actions = Object.assign(document.createElement("div"), { className: "actions" });
  actions.append(insert, pause);
  const note = Object.assign(document.createElement("p"), { className: "note", textContent: t("speakers.note") });
  box.replaceChildren(field, actions);
  box.after(note);
}

function button(name, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: t(name) });
  made.addEventListener("click", act);
  return made;
}

/** Put a mark where the cursor is, on a line of its own if there is text before it. */
function put(text, mark, line) {
  const { selectionStart: at, selectionEnd: end, value } = text;
  const breaks = line && /[^\n]$/.test(value.slice(0, at)) ? "\n" : "";
  text.setRangeText(breaks + mark, at, end, "end");
  text.dispatchEvent(new Event("input", { bubbles: true }));
  text.focus();
}
