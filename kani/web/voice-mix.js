/** "Mix two voices": a voice between two of Kokoro's, by a slider. */

import { find } from "./element.js";
import { percent, t } from "./i18n.js";
import { fill, voiceGroups } from "./voices.js";

/** Name of a mix, as the server reads it; share: of the second voice, 0 to 1. */
export function mixOf(first, second, share) {
  const parts = [[first, 1 - share], [second, share]].filter(([, part]) => part > 0);
  return parts.map(([voice, part]) => (parts.length > 1 ? `${voice}(${part.toFixed(2)})` : voice)).join("+");
}

/**
 * Show the fields.
 * @param {import("./voices.js").Voice[]} voices of the server; only those of an engine that mixes are offered
 * @param {(mix: string) => void} choose called with the name of the mix
 */
export function showMix(voices, choose) {
  const groups = voiceGroups(voices.filter(({ engine, kept }) => engine === "kokoro" && !kept), "", t("voice.kept"));
  fill(find("mix-first"), groups, "af_heart");
  fill(find("mix-second"), groups, "am_adam");
  const share = find("mix-share");
  const shows = () => (find("mix-value").textContent = share.ariaValueText = percent(share.valueAsNumber));
  share.addEventListener("input", shows);
  shows();
  find("mix-use").addEventListener("click", () => choose(mixOf(find("mix-first").value, find("mix-second").value, share.valueAsNumber)));
}
