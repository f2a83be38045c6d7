/** Answers for the page when the server is away: only the document, as its files have addresses of their own for each version, which a browser keeps. */

const SHELL = "shell";
const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
/** The path of the page. */
const PAGE = new URL(worker.registration.scope).pathname;

worker.addEventListener("install", (event) => {
  worker.skipWaiting();
  // The page that registers the worker was loaded before it: a first visit is enough.
  event.waitUntil(caches.open(SHELL).then((shell) => shell.add(PAGE)));
});
worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate" && new URL(request.url).pathname === PAGE) event.respondWith(document(request));
});

/** The document as the server has it now, or as it was the last time. */
async function document(request) {
  const shell = await caches.open(SHELL);
  try {
    const answer = await fetch(request);
    if (answer.ok) await shell.put(PAGE, answer.clone());
    return answer;
  } catch (error) {
    const kept = await shell.match(PAGE);
    if (!kept) throw error;
    return kept;
  }
}
