/** What this is, at the head of the page; and the line at its foot: what runs, and how much it has to do. */

import { find, make } from "./element.js";
import { number, t } from "./i18n.js";
import { isNatural } from "./voices.js";

/** Say what a tab of the page does, and on which machine; tab: "speak", "listen" or "talk". */
export function showClaim(tab = "speak") {
  find("tagline").textContent = t(`tagline.${tab}`);
}

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
