/** The page's own words, in the language that was chosen on it, or the first of the browser's that it knows. */

import { contentOf, queryAll } from "./element.js";
import { Memory } from "./storage.js";

/** The page's languages, each by its own name. */
export const LOCALES = { ar: "العربية", en: "English", es: "Español", fr: "Français", hi: "हिन्दी", ja: "日本語", pt: "Português", zh: "简体中文" };

const chosen = new Memory("kani.locale", () => localStorage);
const known = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag in LOCALES);

/** True if the language was chosen on the page, instead of the browser's. */
export const isChosen = Object.hasOwn(LOCALES, chosen.text);

/** The page's language, one of LOCALES. */
export const locale = isChosen ? chosen.text : (known ?? "en");

const { texts } = await import(`./texts-${locale}.js`);

/** Show the page in another of LOCALES, from now on. */
export function choose(language) {
  chosen.text = language;
  window.location.reload();
}

/** Names of the machine itself. */
const HERE = /^(localhost|127\.[\d.]+|\[::1\])$|\.localhost$/;

/** True if the server runs on the machine that shows the page. */
export const isHere = HERE.test(globalThis.location?.hostname);

/** The words for ``name``, with ``{value}`` filled in from ``values``, and ``{place}`` by where the server runs. */
export function t(name, values = {}) {
  const place = texts[isHere ? "place.here" : "place.server"];
  return texts[name].replace(/\{(\w+)\}/g, (_, key) => ({ place, ...values })[key]);
}

/** Know the words of a part of the page that is loaded when it is first used; more: texts by language. */
export const addTexts = (more) => Object.assign(texts, more[locale]);

/** Return true if there are words for ``name``. */
export const has = (name) => name in texts;

const formats = [0, 1, 2].map((digits) => new Intl.NumberFormat(locale, { maximumFractionDigits: digits, minimumFractionDigits: digits }));

/** A number as it is written here, with ``digits`` (0 to 2) after the point. */
export const number = (value, digits = 0) => formats[digits].format(value);

/** A value that the server quotes: a number as it is written here, or a text as it is. */
export const quoted = (value) => (typeof value === "number" ? value.toLocaleString(locale, { maximumFractionDigits: 2 }) : value);

/** A share, 0 to 1, as it is written here: "70%". */
export const percent = (share) => share.toLocaleString(locale, { style: "percent" });

/** A length of time: "4.2 s". */
export const seconds = (value) => t("seconds", { n: number(value, 1) });

/** Seconds as a player shows them: 83.4 is 1:23, 3723 is 1:02:03. */
export function clock(seconds) {
  const whole = Math.round(seconds);
  const two = (part) => String(Math.floor(part)).padStart(2, "0");
  return `${whole < 3600 ? Math.floor(whole / 60) : `${Math.floor(whole / 3600)}:${two((whole / 60) % 60)}`}:${two(whole % 60)}`;
}

/** A moment: "today, 14:05". */
export const moment = (time) => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(time);

/** Write the page's words into it: data-t is an element's text, data-t-label its accessible name, data-t-title one that is shown, too, data-t-placeholder an example. @param {ParentNode} place a part of it */
export function translate(place = document) {
  document.documentElement.lang = locale === "zh" ? "zh-Hans" : locale;
  document.documentElement.dir = locale === "ar" ? "rtl" : "ltr";
  document.title = t("title");
  for (const element of queryAll("[data-t]", place)) element.textContent = t(element.dataset.t);
  for (const element of queryAll("[data-t-title]", place)) element.title = element.ariaLabel = t(element.dataset.tTitle);
  for (const element of queryAll("[data-t-placeholder]", place)) element.placeholder = t(element.dataset.tPlaceholder);
  for (const element of queryAll("[data-t-label]", place)) {
    element.ariaLabel = t(element.dataset.tLabel);
    if (element.type === "search") element.placeholder = t(element.dataset.tLabel);
  }
}

/** Load what an element needs, and fill it with its part of parts.html, in the page's language, unless it has been filled. Throws a TypeError without the server. @template Loaded @param {ParentNode} place @param {() => Promise<Loaded>} load */
export async function filled(place, load) {
  const [loaded, nodes] = await Promise.all([load(), place.firstElementChild ? [] : contentOf(place)]);
  if (place.firstElementChild) return loaded;
  place.append(...nodes);
  translate(place);
  return loaded;
}
