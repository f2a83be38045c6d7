/** The question for the server's key. */

import { find } from "./element.js";
import { t } from "./i18n.js";

export class KeyDialog {
  #server;

  /**
   * @param {import("./server.js").Server} server
   * @param {() => void} given called when there is a key to try
   */
  constructor(server, given) {
    this.#server = server;
    find("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const key = find("key").value.trim();
      if (!key) {
        find("key-problem").textContent = t("key.empty");
        return;
      }
      server.key = key;
      find("key-dialog").close();
      given();
    });
    find("key-later").addEventListener("click", () => find("key-dialog").close());
  }

  /** Ask, unless it is being asked. */
  ask() {
    if (find("key-dialog").open) return;
    find("key-problem").textContent = this.#server.key ? t("key.wrong") : "";
    find("key").value = "";
    find("key-dialog").showModal();
  }
}
