/** "Several voices": puts a mark into the text from which on another voice speaks. */

import { compose } from "./compose.js";
import { button, field, find, make, type } from "./element.js";
import { locale, t } from "./i18n.js";
import { fill, primary, voiceGroups } from "./voices.js";
import "./texts-features.js";

/** Show the fields. */
export function showSpeakers() {
  const [box, text, { voices }] = [find("speakers-fields"), find("text"), compose];
  const voice = make("select", { id: "speakers-voice" });
  const own = voices.find(({ language }) => primary(language) === locale);
  fill(voice, voiceGroups(voices, ""), own?.id);
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
