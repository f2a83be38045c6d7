/** How one gets about on the page: its tabs, its menus, and what is chosen in the one at its top. */

import { find, moveByArrows, query, queryAll } from "./element.js";
import { choose, locale, LOCALES } from "./i18n.js";
import { remember } from "./storage.js";

/**
 * Have a click or an arrow key on a tab show the panel that it names by aria-controls; returns what shows one by its id.
 * @param {(id: string) => Promise<void>} shown called with the id of a panel that is shown
 */
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
  moveByArrows(find("tabs"), tabs, {}, (tab) => show(panelOf(tab)));
  return show;
}

/** Close the menus that do not hold an element; all, without one. */
function closeOthers(element = null) {
  for (const menu of queryAll(".menu[open]")) if (!menu.contains(element)) menu.open = false;
}

/** Have menus (details with the class "menu") close by another one that opens, by Escape, by a click elsewhere, and by a choice. */
export function handleMenus() {
  for (const kind of ["pointerdown", "focusin"]) document.addEventListener(kind, ({ target }) => closeOthers(target));
  for (const [kind, chosen] of [["click", ".menu .list button *, .menu .list button"], ["change", ".menu select"]]) {
    document.addEventListener(kind, ({ target }) => /** @type {Element} */ (target).matches(chosen) && closeOthers());
  }
  // What is unfolded is to be seen.
  document.addEventListener("toggle", ({ target }) => {
    const opened = /** @type {Element} */ (target);
    if (opened.matches(".more > details[open]")) opened.scrollIntoView({ block: "nearest" });
  }, true);
  // Before what else Escape does.
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && queryAll(".menu[open]").find((one) => one.contains(document.activeElement));
    if (!menu) return;
    event.stopImmediatePropagation();
    menu.open = false;
    query("summary", menu).focus();
  });
}

/** Fill the choosers of the page's language and colours, and act on them. */
export function showPreferences() {
  const language = find("page-language");
  language.replaceChildren(...Object.entries(LOCALES).map(([tag, name]) => new Option(name, tag, false, tag === locale)));
  for (const option of language.options) option.lang = option.value;
  language.addEventListener("change", () => choose(language.value));

  remember(find("theme"), "kani.theme", (theme) => (document.documentElement.dataset.theme = theme));
}
