/** The line at the foot of the page: what runs, and how much it has to do. */

import { number, t } from "./i18n.js";

const find = (id) => document.querySelector(`#${id}`);

/** Show what /health says. */
export function showServer({ version, engines, recognizer, counters: { speaking, waiting } }) {
  const parts = [
    t("server.version", { version }),
    [...engines, ...(recognizer ? [recognizer] : [])].map(({ name }) => name).join(", "),
    speaking + waiting === 0 ? t("server.idle") : t("server.load", { speaking: number(speaking), waiting: number(waiting) }),
  ];
  find("server-facts").textContent = parts.join(" · ");
  find("server-line").hidden = false;
}
