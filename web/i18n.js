/** The page's own words, in the first language of the browser's that it knows. */

import { en } from "./texts-en.js";
import { es } from "./texts-es.js";
import { zh } from "./texts-zh.js";

const TEXTS = { en, es, zh };

/** The page's language: "en", "es" or "zh". */
export const locale = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag in TEXTS) ?? "en";

/** The words for ``name``, with ``{value}`` filled in from ``values``. */
export function t(name, values = {}) {
  return TEXTS[locale][name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Return true if there are words for ``name``. */
export const has = (name) => name in TEXTS[locale];

const formats = [0, 1, 2].map(
  (digits) => new Intl.NumberFormat(locale, { maximumFractionDigits: digits, minimumFractionDigits: digits }),
);

/** A number as it is written here, with ``digits`` (0 to 2) after the point. */
export const number = (value, digits = 0) => formats[digits].format(value);

/** Format the similarity of two voices: "0.71". */
export const likeness = (cosine) => number(cosine, 2);

const percents = new Intl.NumberFormat(locale, { style: "percent" });

/** A share, 0 to 1, as it is written here: "70%". */
export const percent = (share) => percents.format(share);

/** A length of time: "4.2 s". */
export const seconds = (value) => t("seconds", { n: number(value, 1) });

/** A moment: "today, 14:05". */
export const moment = (time) => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(time);

/** A day: "21 Nov 2026". */
export const day = (time) => new Intl.DateTimeFormat(locale, { dateStyle: "medium" }).format(time);

/** Write the page's words into it: data-t is an element's text, data-t-label its accessible name. */
export function translate() {
  document.documentElement.lang = locale === "zh" ? "zh-Hans" : locale;
  document.title = t("title");
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
}
