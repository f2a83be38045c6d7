/** The choosers of the page's language and colours. */

import { choose, locale, LOCALES, t } from "./i18n.js";
import { Memory } from "./storage.js";

const THEMES = ["", "light", "dark"];

/** Fill both and act on them. */
export function showPreferences() {
  const language = document.querySelector("#page-language");
  language.replaceChildren(...Object.entries(LOCALES).map(([tag, name]) => new Option(name, tag, false, tag === locale)));
  for (const option of language.options) option.lang = option.value;
  language.addEventListener("change", () => choose(language.value));

  const theme = document.querySelector("#theme");
  const memory = new Memory("kani.theme", () => localStorage);
  theme.replaceChildren(...THEMES.map((name) => new Option(t(`theme.${name || "auto"}`), name, false, name === memory.text)));
  theme.addEventListener("change", () => {
    memory.text = theme.value;
    document.documentElement.dataset.theme = theme.value;
  });
}
