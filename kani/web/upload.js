/** A request with a large body: `fetch` does not tell how much of it was sent. */

/** The answer to a request, as of `fetch`: it is there once its head is, and its body comes as a stream. @param {any} url @param {Record<string, any>} options of `fetch`: method, headers, body, signal @param {(share: number) => void} sent called with the share of the body that was sent, 0 to 1 @returns {Promise<Response>} */
export function send(url, options, sent) {
  const { method, headers, body, signal } = options;
  return new Promise((answered, failed) => {
    const request = new XMLHttpRequest();
    const encoder = new TextEncoder();
    let taken = 0;
    const stream = new ReadableStream({
      start: (controller) => {
        request.onprogress = () => {
          controller.enqueue(encoder.encode(request.responseText.slice(taken)));
          taken = request.responseText.length;
        };
        request.onload = () => {
          request.onprogress(new ProgressEvent("load"));
          controller.close();
        };
        request.onerror = request.onabort = () => {
          const error = signal?.aborted ? signal.reason : new TypeError("the connection broke");
          failed(error);
          controller.error(error);
        };
      },
    });
    request.onreadystatechange = () => request.readyState === 2 && answered(new Response(stream, { status: request.status }));
    request.upload.onprogress = ({ loaded, total }) => sent(loaded / total);
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    signal?.addEventListener("abort", () => request.abort());
    if (signal?.aborted) failed(signal.reason);
    else request.send(body);
  });
}
