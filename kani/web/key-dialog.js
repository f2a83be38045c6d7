/** The question for the server's key. */

import { connection } from "./connection.js";
import { find } from "./element.js";
import { filled, t } from "./i18n.js";
import { server } from "./server.js";

/** Ask for it, unless it is being asked for; then connect with it. */
export async function askKey() {
  const dialog = find("key-dialog");
  await filled(dialog, async () => {});
  if (dialog.open) return;
  find("key-problem").textContent = server.key ? t("key.wrong") : "";
  find("key").value = "";
  find("key-form").onsubmit = (event) => {
    event.preventDefault();
    const key = find("key").value.trim();
    if (!key) return (find("key-problem").textContent = t("key.empty"));
    server.key = key;
    dialog.close();
    connection.reopen();
    server.learn();
  };
  dialog.showModal();
}
