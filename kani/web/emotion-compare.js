/** "Compare emotions": the text of the form in each of them. */

import { t } from "./i18n.js";

/**
 * Fill the box with a button for each emotion, and one for all.
 * @param {HTMLElement} box
 * @param {string[]} emotions
 * @param {(emotion: string) => Promise<boolean>} say speaks in an emotion; resolves to whether it was heard to its end
 */
export function showEmotions(box, emotions, say) {
  const button = (words, act) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: words });
    made.addEventListener("click", act);
    return made;
  };
  const one = async (emotion, pressed) => {
    pressed.setAttribute("aria-pressed", "true");
    const whole = await say(emotion);
    pressed.setAttribute("aria-pressed", "false");
    return whole;
  };
  const each = emotions.map((emotion) => {
    const made = button(t(`emotion.${emotion}`), () => one(emotion, made));
    made.setAttribute("aria-pressed", "false");
    return made;
  });
  const all = button(t("compare.all"), async () => {
    for (const [n, emotion] of emotions.entries()) if (!(await one(emotion, each[n]))) return;
  });
  all.className = "quiet";
  box.replaceChildren(...each, all);
}
