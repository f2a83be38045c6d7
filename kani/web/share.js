/** "Copy link": the request of the form in an address. */

import { isHere, t } from "./i18n.js";
import { shareLink } from "./share-link.js";

/** Copy the link of a choice, or put it into the address bar; return what was done, in words. */
export async function share(choice) {
  const link = shareLink(document.baseURI, choice);
  try {
    await navigator.clipboard.writeText(link);
    return t(isHere ? "share.local" : "share.done");
  } catch (error) {
    // Browsers give a page over plain http no clipboard: the address bar holds the link instead.
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    window.history.replaceState(null, "", link);
    return t("share.bar");
  }
}
