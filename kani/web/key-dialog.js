/** The question for the server's key. */

import { find } from "./element.js";
import { t } from "./i18n.js";

/**
 * Ask for it, unless it is being asked for.
 * @param {import("./server.js").Server} server
 * @param {() => void} given called when there is a key to try
 */
export function askKey(server, given) {
  const dialog = find("key-dialog");
  if (dialog.open) return;
  find("key-problem").textContent = server.key ? t("key.wrong") : "";
  find("key").value = "";
  find("key-later").onclick = () => dialog.close();
  find("key-form").onsubmit = (event) => {
    event.preventDefault();
    const key = find("key").value.trim();
    if (!key) return (find("key-problem").textContent = t("key.empty"));
    server.key = key;
    dialog.close();
    given();
  };
  dialog.showModal();
}
