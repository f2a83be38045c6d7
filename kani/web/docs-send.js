/** "Send": a call of the document, sent to this server with a body that can be changed; its audio is heard. */

import { pathOf } from "./curl.js";
import { make, query } from "./element.js";
import { Memory } from "./storage.js";

/** Characters of an answer that are shown. */
const MOST_SHOWN = 20_000;

const key = new Memory("kani.key", () => sessionStorage);
let fields = 0;

/** A field below its label. */
const labelled = (label, input) => make("div", { className: "field" }, make("label", { htmlFor: `send-${++fields}` }, label), Object.assign(input, { id: `send-${fields}` }));

/** The fields of a call's body, and what makes the body of them; neither for a call without one. */
function bodyFields({ kind, media }) {
  if (!media) return { inputs: [], options: () => ({}) };
  if (kind !== "multipart/form-data") {
    const input = make("textarea", { rows: 5, spellcheck: false, value: JSON.stringify(media.example, null, 2) });
    return { inputs: [labelled("Body", input)], options: () => ({ body: input.value, headers: { "content-type": kind } }) };
  }
  const inputs = Object.entries(media.example).map(([name, value]) => {
    const input = make("input", { type: name === "file" ? "file" : "text", name, accept: "audio/*,video/*" });
    if (name !== "file") input.value = value;
    return labelled(name, input);
  });
  const options = () => {
    const body = new FormData();
    for (const input of inputs.map((one) => query("input", one))) body.append(input.name, input.files ? (input.files[0] ?? "") : input.value);
    return { body };
  };
  return { inputs, options };
}

/** Elements that send a call and show its answer. */
export function sendBlock(call) {
  const { inputs, options } = bodyFields(call);
  const state = make("p", { className: "note", role: "status" });
  const answer = make("div");
  const button = make("button", { className: "primary", type: "submit", textContent: "Send", ariaLabel: `Send: ${call.name}` });
  const form = make("form", { className: "send" }, make("h3", { textContent: "Try it" }), ...inputs, make("div", { className: "actions" }, button, state), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    state.textContent = "Waiting for the answer…";
    const began = performance.now();
    try {
      const { body, headers } = options();
      const authorization = key.text ? { authorization: `Bearer ${key.text}` } : {};
      const got = await fetch(pathOf(call).slice(1), { method: call.method, body, headers: { ...headers, ...authorization } });
      const blob = await got.blob();
      const hint = got.status === 401 ? " Type the key in the page that speaks, in this tab, and come back." : "";
      state.textContent = `${got.status}, ${blob.size} bytes in ${Math.round(performance.now() - began)} ms.${hint}`;
      answer.replaceChildren(await shown(blob));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      state.textContent = `It could not be sent: ${error.message}`;
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) button.focus();
    }
  });
  return form;
}

/** An answer as an element: audio that plays, or text. */
async function shown(blob) {
  if (blob.type.startsWith("audio/")) {
    const audio = make("audio", { controls: true, src: URL.createObjectURL(blob) });
    audio.play().catch(() => {});
    return audio;
  }
  const text = await blob.text();
  return make("pre", { tabIndex: 0, textContent: blob.type.includes("json") ? JSON.stringify(JSON.parse(text), null, 1).slice(0, MOST_SHOWN) : text.slice(0, MOST_SHOWN) });
}
