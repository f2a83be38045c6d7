/** The page as an application: it opens without the server, and says that this is away. */

const policy = window.trustedTypes?.createPolicy("shell", { createScriptURL: () => new URL("service-worker.js", document.baseURI).href });

/** Register the service worker; browsers have one over https and on this machine itself. */
export async function install() {
  // A browser that keeps nothing keeps no worker, and complains of the attempt.
  if (!navigator.cookieEnabled) return;
  try {
    await navigator.serviceWorker?.register(policy ? policy.createScriptURL("") : "service-worker.js");
  } catch (error) {
    // A private window, or a certificate that the browser was made to accept.
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    console.info("not installable:", error.message);
  }
}
