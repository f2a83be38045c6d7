/** What the server can do, at the head of the page; and at its foot what runs, and how much it has to do. */

import { find, make } from "./element.js";
import { number, t } from "./i18n.js";
import { isNatural } from "./voices.js";

/** Show what /health says, and how many voices there are. */
export function showServer({ version, engines, light = [], languages, recognizer, counters: { speaking, waiting } }, voices = []) {
  const natural = voices.filter(isNatural).length;
  const facts = [
    voices.length > 0 && t(natural ? "facts.natural" : "facts.voices", { n: number(natural || voices.length) }),
    t("facts.languages", { n: number(Object.keys(languages).length) }),
    t("facts.private"),
  ].filter(Boolean);
  find("facts").replaceChildren(...facts.map((words) => make("span", { textContent: words })));
  const always = light.filter(({ speaks }) => speaks === "always").map(({ language }) => language);
  const parts = [
    t("server.version", { version }),
    [...engines, ...(recognizer ? [recognizer] : [])].map(({ name }) => name).join(", "),
    always.length > 0 && t("server.light", { languages: always.join(", ") }),
    speaking + waiting === 0 ? t("server.idle") : t("server.load", { speaking: number(speaking), waiting: number(waiting) }),
  ];
  find("server-facts").textContent = parts.filter(Boolean).join(" · ");
  find("server-line").hidden = false;
}
