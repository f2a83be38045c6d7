/**
 * Answers for the page when the server is away: only the document.
 *
 * Its files have addresses of their own for each version, and the browser keeps those for a year.
 */

const SHELL = "shell";
const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

worker.addEventListener("install", (event) => {
  worker.skipWaiting();
  // The page that registers the worker was loaded before it: a first visit is enough.
  event.waitUntil(caches.open(SHELL).then((shell) => shell.add(pagePath())));
});
worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const page = pagePath();
  if (request.mode === "navigate" && new URL(request.url).pathname === page) event.respondWith(document(request, page));
});

/** The path of the page. */
function pagePath() {
  return new URL(worker.registration.scope).pathname;
}

/** The document as the server has it now, or as it was the last time. */
async function document(request, page) {
  const shell = await caches.open(SHELL);
  try {
    const answer = await fetch(request);
    if (answer.ok) await shell.put(page, answer.clone());
    return answer;
  } catch (error) {
    const kept = await shell.match(page);
    if (!kept) throw error;
    return kept;
  }
}
