/** The socket, opened in advance and reopened when it breaks: a request that brought no audio is then sent again, of one that brought some what came is kept. */

import { filled } from "./i18n.js";
import { server } from "./server.js";
import { readFrame } from "./utterance.js";

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
const TRIES_BEFORE_BUSY = 2;
/** A server that has just been started is asked again after this time, however long it takes. */
const STARTING_WAIT_MS = 1000;
const PING_EVERY_MS = 20_000;
const PONG_WITHIN_MS = 10_000;

class Connection {
  /** @type {(state: "connecting"|"open"|"offline"|"busy"|"starting"|"key"|"refused", message: string) => void} */
  told = () => {};
  #socket = null;
  #requests = new Map();
  #failures = 0;
  /** True while the server starts: trying once more is no other state. */
  #starting = false;
  #retry = 0;
  #silence = 0;
  /** Called once it is open. */
  #waiting = [];

  constructor() {
    window.addEventListener("online", () => this.open());
    document.addEventListener("visibilitychange", () => document.hidden || this.open());
    setInterval(() => {
      if (!this.ready || this.#silence) return;
      this.#socket.send(JSON.stringify({ type: "ping", timestamp: Date.now() }));
      // A line that died without a word is known by its silence.
      this.#silence = setTimeout(() => {
        if (!this.#socket) return;
        this.#socket.close();
        this.#closed();
      }, PONG_WITHIN_MS);
    }, PING_EVERY_MS);
  }

  /** Open the socket now, unless it is open or opening. */
  open() {
    clearTimeout(this.#retry);
    if (this.#socket) return;
    if (!this.#starting) this.told("connecting", "");
    const socket = server.socket();
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#failures = 0;
      this.#starting = false;
      this.told("open", "");
      for (const resolve of this.#waiting.splice(0)) resolve();
      for (const { message } of this.#requests.values()) this.#socket.send(message);
    };
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ target }) => target === this.#socket && this.#closed();
    this.#socket = socket;
  }

  /** Open a new socket, with the key that is known now. */
  reopen() {
    this.#failures = 0;
    this.#socket?.close();
    this.#socket = null;
    this.open();
  }

  /**
   * Ask for speech. Exactly one of complete, error and lost is called in the end, unless it is cancelled.
   * @param {Record<"progress"|"frame"|"complete"|"error"|"lost", (told?: any) => void>} heard called with the message's fields, a frame, a result, an error's {code, message, details}, or nothing
   */
  speak(id, params, heard) {
    const message = JSON.stringify({ type: "tts_request", request_id: id, params });
    this.#requests.set(id, { message, heard, begun: false });
    if (this.ready) this.#socket.send(message);
    else this.open();
  }

  /** End a request; its further answers are ignored. */
  cancel(id) {
    if (this.#requests.delete(id) && this.ready) this.#socket.send(JSON.stringify({ type: "cancel", request_id: id }));
  }

  /** True if a request would be sent at once. */
  get ready() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Resolve once a request would be sent at once; signal: gives up. */
  opened = (signal = undefined) => new Promise((/** @type {(none?: any) => void} */ resolve) => {
    if (this.ready || signal?.aborted) return resolve();
    this.#waiting.push(resolve);
    signal?.addEventListener("abort", resolve);
  });

  #received(data) {
    clearTimeout(this.#silence);
    this.#silence = 0;
    const frame = typeof data === "string" ? null : readFrame(data);
    const message = frame ? { ...frame.metadata, type: "frame" } : JSON.parse(data);
    const request = this.#requests.get(message.request_id);
    if (!request) return;
    if (frame) request.begun = true;
    if (message.type === "complete" || message.type === "error") this.#requests.delete(message.request_id);
    const told = { frame, progress: message, complete: message.result, error: message.error };
    if (message.type in told) request.heard[message.type](told[message.type]);
  }

  async #closed() {
    this.#socket = null;
    clearTimeout(this.#silence);
    this.#silence = 0;
    for (const [id, request] of this.#requests) {
      if (!request.begun) continue;
      this.#requests.delete(id);
      request.heard.lost();
    }
    const { kind, message } = await server.whyNot();
    if (this.#socket) return;
    this.#starting = kind === "starting";
    // A server that answers without a reason was restarted just now: the next attempt decides.
    this.told(kind === "busy" && !message && this.#failures < TRIES_BEFORE_BUSY ? "connecting" : kind, message);
    // Without another key the answer will be the same.
    if (kind === "key") return;
    const wait = this.#starting ? STARTING_WAIT_MS : Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++);
    this.#retry = setTimeout(() => this.open(), wait * (0.75 + 0.5 * Math.random()));
  }
}

/** The page's connection. */
export const connection = new Connection();

/** Load a part of the page, and fill its element, if it has one. Throws ServerError without the server: Firefox does not load a module again that failed. @template Part @param {() => Promise<Part>} load @param {ParentNode?} place */
export async function part(load, place = null) {
  if (!connection.ready) await server.health();
  return place ? filled(place, load) : load();
}
