/** Several voices: a mark in the text from which on another one speaks, and a voice between two of Kokoro's, by a slider. */

import { compose } from "./compose.js";
import { find, type } from "./element.js";
import { locale, percent } from "./i18n.js";
import { fill, primary, voiceGroups } from "./voices.js";
import "./texts-features.js";

/** Show the fields of the marks. */
export function showSpeakers() {
  const [voice, text, { voices }] = [find("speakers-voice"), find("text"), compose];
  const own = voices.find(({ language }) => primary(language) === locale);
  fill(voice, voiceGroups(voices, ""), own?.id);
  find("speakers-insert").addEventListener("click", () => put(text, `[voice:${voice.value}] `, true));
  find("speakers-pause").addEventListener("click", () => put(text, " [pause:1s] ", false));
}

/** Put a mark where the cursor is, on a line of its own if there is text before it. */
function put(text, mark, line) {
  const { selectionStart: at, value } = text;
  const breaks = line && /[^\n]$/.test(value.slice(0, at)) ? "\n" : "";
  text.focus();
  type(text, breaks + mark);
}

/** Name of a mix, as the server reads it; share: of the second voice, 0 to 1. */
function mixOf(first, second, share) {
  const parts = [[first, 1 - share], [second, share]].filter(([, part]) => part > 0);
  return parts.map(([voice, part]) => (parts.length > 1 ? `${voice}(${part.toFixed(2)})` : voice)).join("+");
}

/** Show the fields of a mix; only voices of an engine that mixes are offered. */
export function showMix() {
  const groups = voiceGroups(compose.voices.filter(({ engine, kept }) => engine === "kokoro" && !kept), "");
  fill(find("mix-first"), groups, "af_heart");
  fill(find("mix-second"), groups, "am_adam");
  const share = find("mix-share");
  const shows = () => (find("mix-value").textContent = share.ariaValueText = percent(share.valueAsNumber));
  share.addEventListener("input", shows);
  shows();
  find("mix-use").addEventListener("click", () => compose.choose(mixOf(find("mix-first").value, find("mix-second").value, share.valueAsNumber)));
}
