/** A request in the fragment of the page's address, which a browser sends to no server; and "Copy link", which makes one. */

import { isCopied } from "./clipboard.js";
import { isHere, t } from "./i18n.js";

const NAMES = { text: "t", language: "l", voice: "v", emotion: "e", strength: "s", speed: "p" };
const DEFAULTS = { text: "", language: "", voice: "", emotion: "neutral", strength: 1, speed: 1 };

/** The address of this page with a request in it; what is as it comes is left out. */
export function shareLink(base, choice) {
  const fields = new URLSearchParams();
  for (const [name, short] of Object.entries(NAMES)) if (choice[name] !== undefined && choice[name] !== DEFAULTS[name]) fields.set(short, String(choice[name]));
  return new URL(`#${fields}`, base).href;
}

/** The request in a fragment; null where there is none. */
export function sharedChoice(fragment) {
  const fields = new URLSearchParams(fragment.slice(1));
  const choice = Object.entries(DEFAULTS).map(([name, usual]) => {
    const value = fields.get(NAMES[name]) ?? usual;
    return [name, typeof usual === "string" ? value : Number.isFinite(Number(value)) ? Number(value) : usual];
  });
  return fields.get(NAMES.text) ? Object.fromEntries(choice) : null;
}

/** Copy the link of a choice, or put it into the address bar; return what was done, in words. */
export async function share(choice) {
  const link = shareLink(document.baseURI, choice);
  if (await isCopied(link)) return t(isHere ? "share.local" : "share.done");
  window.history.replaceState(null, "", link);
  return t("share.bar");
}
