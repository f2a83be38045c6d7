/** The menus of the page (details with the class "menu"): one is open at a time, and closes by itself. */

/** Close the menus that do not hold an element; all, without one. */
function closeOthers(element = null) {
  for (const menu of document.querySelectorAll(".menu[open]")) if (!menu.contains(element)) menu.open = false;
}

/** Have menus close by Escape, by a click elsewhere, and by a choice. */
export function handleMenus() {
  document.addEventListener("pointerdown", ({ target }) => closeOthers(target));
  document.addEventListener("focusin", ({ target }) => closeOthers(target));
  document.addEventListener("click", ({ target }) => {
    if (target.closest(".menu .list button")) closeOthers();
  });
  document.addEventListener("change", ({ target }) => {
    if (target.matches(".menu select")) closeOthers();
  });
  // Before what else Escape does.
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && document.activeElement?.closest(".menu[open]");
    if (!menu) return;
    event.stopImmediatePropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
