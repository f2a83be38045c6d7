/** Ways about the page: its tabs, its menus, and what is chosen in the one at its top; and what is shown, which the body's data-shows names for the style sheets. */

import { find, query, queryAll } from "./element.js";
import { choose, locale, LOCALES } from "./i18n.js";
import { remember } from "./storage.js";

/** Have a click or an arrow key on a tab show the panel that it names by aria-controls; returns what shows one by its id. @param {(id: string) => Promise<void>} shown called with the id of a panel that is shown */
export function handleTabs(shown) {
  const tabs = queryAll("[role=tab]");
  const panelOf = (tab) => tab.getAttribute("aria-controls");
  const show = (id) => {
    for (const tab of tabs) {
      const chosen = panelOf(tab) === id;
      tab.ariaSelected = String(chosen);
      tab.tabIndex = chosen ? 0 : -1;
      find(panelOf(tab)).hidden = !chosen;
    }
    return shown(id);
  };
  for (const tab of tabs) tab.addEventListener("click", () => show(panelOf(tab)));
  find("tabs").addEventListener("keydown", (event) => {
    const turned = document.documentElement.dir === "rtl" ? -1 : 1;
    const at = tabs.findIndex((tab) => tab === document.activeElement);
    const to = { ArrowRight: at + turned, ArrowLeft: at - turned, Home: 0, End: -1 }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = tabs.at(to % tabs.length);
    next.focus();
    show(panelOf(next));
  });
  return show;
}

/** Elements that a pointer presses on purpose, also while a menu is open. */
const CONTROLS = "a, button, input, label, select, summary, textarea";

/** Close the menus that do not hold an element; all, without one. Return whether there were any. */
function closeOthers(element = null) {
  const others = queryAll(".menu[open]").filter((menu) => !menu.contains(element));
  for (const menu of others) menu.open = false;
  return others.length > 0;
}

/** Have menus (details with the class "menu") close by another one that opens, by Escape, by a click elsewhere, which does nothing else to a text or slider, and by a button of a list. */
export function handleMenus() {
  let closed = false;
  let chosen = null;
  document.addEventListener("pointerdown", (event) => {
    const target = /** @type {Element} */ (event.target);
    closed = closeOthers(target) && !target.closest(CONTROLS);
    if (closed) event.stopImmediatePropagation();
  }, true);
  document.addEventListener("click", (event) => {
    // The second click of a double one is not meant for what lies below the menu that the first has closed.
    if ((closed && event.detail > 0) || (chosen && event.detail > 1)) {
      event.stopImmediatePropagation();
      event.preventDefault();
    } else chosen = /** @type {Element} */ (event.target).closest(".menu .list button");
    closed = false;
    if (event.defaultPrevented || !chosen) return;
    // Before it acts: a dialog that it opens gives the focus back to what had it.
    closeOthers();
    query("summary", chosen.closest(".menu")).focus({ preventScroll: true });
  }, true);
  document.addEventListener("focusin", ({ target }) => closeOthers(target));
  document.addEventListener("toggle", ({ target }) => reveal(/** @type {Element} */ (target)), true);
  // Before what else Escape does.
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && queryAll(".menu[open]").find((one) => one.contains(document.activeElement));
    if (!menu) return;
    event.stopImmediatePropagation();
    menu.open = false;
    query("summary", menu).focus();
  });
}

/** Have what is unfolded be seen: from its end to its summary, as on a phone it has no box of its own. @param {Element} opened */
export function reveal(opened) {
  if (!opened.matches(".more > details[open]")) return;
  for (const part of [...opened.children].reverse()) part.scrollIntoView({ block: "nearest" });
}

/** Fill the choosers of the page's language and colours, and act on them. */
export function showPreferences() {
  const language = find("page-language");
  language.replaceChildren(...Object.entries(LOCALES).map(([tag, name]) => new Option(name, tag, false, tag === locale)));
  for (const option of language.options) option.lang = option.value;
  language.addEventListener("change", () => choose(language.value));

  remember(find("theme"), "kani.theme", (theme) => (document.documentElement.dataset.theme = theme));
}

/** Name what is shown now, by the names that elements have as data-part. The page does so by itself before it is drawn next: call it where a size is read at once. */
export function tellShown() {
  const shown = queryAll("[data-part]:not([hidden])").map(({ dataset }) => dataset.part).join(" ");
  if (document.body.dataset.shows !== shown) document.body.dataset.shows = shown;
}

new MutationObserver(tellShown).observe(document.body, { subtree: true, attributeFilter: ["hidden"] });
