/** The tabs of the page: a click or an arrow key shows another panel. */

export class Tabs {
  #tabs;
  #shown;

  /**
   * @param {HTMLElement} list of buttons (role=tab) that name their panels by aria-controls
   * @param {(id: string) => void} shown called with the id of a panel that is shown
   */
  constructor(list, shown) {
    this.#tabs = [...list.querySelectorAll("[role=tab]")];
    this.#shown = shown;
    for (const tab of this.#tabs) tab.addEventListener("click", () => this.show(tab.getAttribute("aria-controls")));
    list.addEventListener("keydown", (event) => this.#moves(event));
  }

  /** Show a panel by its id. */
  show(id) {
    for (const tab of this.#tabs) {
      const chosen = tab.getAttribute("aria-controls") === id;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
    }
    this.#shown(id);
  }

  #moves(event) {
    const turned = document.documentElement.dir === "rtl" ? -1 : 1;
    const steps = { ArrowRight: turned, ArrowLeft: -turned }[event.key];
    if (!steps) return;
    event.preventDefault();
    const at = this.#tabs.indexOf(document.activeElement) + steps;
    const tab = this.#tabs.at(at % this.#tabs.length);
    tab.focus();
    this.show(tab.getAttribute("aria-controls"));
  }
}
