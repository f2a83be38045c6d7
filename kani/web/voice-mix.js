/** "Mix two voices": a voice between two of Kokoro's, by a slider. */

import { compose } from "./compose.js";
import { find } from "./element.js";
import { percent } from "./i18n.js";
import { fill, voiceGroups } from "./voices.js";

/** Name of a mix, as the server reads it; share: of the second voice, 0 to 1. */
export function mixOf(first, second, share) {
  const parts = [[first, 1 - share], [second, share]].filter(([, part]) => part > 0);
  return parts.map(([voice, part]) => (parts.length > 1 ? `${voice}(${part.toFixed(2)})` : voice)).join("+");
}

/** Show the fields; only voices of an engine that mixes are offered. */
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
