/** The server this page came from, over HTTP; and the key that opens it. */

import { t } from "./i18n.js";
import { Memory } from "./storage.js";

/** Name of a sub-protocol (RFC 6455). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const PATIENCE_MS = 10_000;
/** A recording on a slow line. */
const UPLOAD_PATIENCE_MS = 120_000;

/**
 * Why a server did not answer as it should; kind: "offline", "key", "refused", "busy", "taken" or "failed";
 * param: the field that it did not take, "" where it names none.
 */
export class ServerError extends Error {
  constructor(kind, message, param = "") {
    super(message);
    this.kind = kind;
    this.param = param;
  }

  /** Message for the user, shown beside the field. */
  get words() {
    if (this.kind === "offline") return t("problem.offline");
    if (this.kind === "taken") return t("clone.taken");
    const field = `${this.param}: `;
    return this.message.startsWith(field) ? this.message.slice(field.length) : this.message;
  }
}

const KINDS = { 401: "key", 403: "refused", 409: "taken", 429: "busy", 503: "busy" };

export class Server {
  #key = new Memory("kani.key", () => sessionStorage);

  /** The key, "" if none is known; it is forgotten when the tab is closed. */
  get key() {
    return this.#key.text;
  }

  set key(key) {
    this.#key.text = key;
  }

  /** Open a socket. A browser sends no header with it but the names of protocols: the key as one of them. */
  socket() {
    const url = this.#url("tts");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return new WebSocket(url, TOKEN.test(this.key) ? ["voxcpm-tts", `Bearer.${this.key}`] : ["voxcpm-tts"]);
  }

  /** Return every voice of /v1/audio/voices. Throws ServerError. */
  async voices() {
    return (await this.#ask("v1/audio/voices")).voices;
  }

  /** The engine that speaks each language. Throws ServerError. */
  async languages() {
    return (await this.#ask("health")).languages;
  }

  /** How many characters one request may have. Throws ServerError. */
  async longestText() {
    return (await this.#ask("api/config")).constraints?.max_text_length;
  }

  /** Keep a voice; form: name, audio, consent, language. Throws ServerError with the server's words. */
  keepVoice(form) {
    return this.#ask("v1/audio/voices", { method: "POST", body: form });
  }

  /** Call a kept voice otherwise; the voice, whose id is another now. Throws ServerError. */
  renameVoice(id, name) {
    const body = JSON.stringify({ name });
    return this.#ask(voicePath(id), { method: "PATCH", body, headers: { "content-type": "application/json" } });
  }

  /** Delete a kept voice. Throws ServerError. */
  async deleteVoice(id) {
    await this.#answer(voicePath(id), { method: "DELETE" });
  }

  /** The recording of a kept voice, as it came. Throws ServerError. */
  async sample(id) {
    const answer = await this.#answer(`${voicePath(id)}/sample`);
    return answer.arrayBuffer();
  }

  /** A sentence in a voice, as MP3; language: of the sentence, for a voice that has none. Throws ServerError. */
  async preview(id, language) {
    const path = `${voicePath(id)}/preview?${new URLSearchParams({ language })}`;
    const answer = await this.#answer(path, { cache: "default" }, UPLOAD_PATIENCE_MS);
    return answer.arrayBuffer();
  }

  /** Why a socket was not opened, or broke: browsers do not tell, but the same question over HTTP does. */
  async whyNot() {
    try {
      // The list of voices would be answered without a key.
      await this.longestText();
    } catch (error) {
      if (error instanceof ServerError) return error;
      throw error;
    }
    return { kind: "busy", message: "" };
  }

  /** An address on the server; a key that is no name of a protocol is part of it. */
  #url(path) {
    const url = new URL(path, document.baseURI);
    if (this.key && !TOKEN.test(this.key)) url.searchParams.set("token", this.key);
    return url;
  }

  async #ask(path, options) {
    const answer = await this.#answer(path, options);
    return answer.json();
  }

  async #answer(path, options = {}, patience = options.method ? UPLOAD_PATIENCE_MS : PATIENCE_MS) {
    const headers = { ...options.headers, ...(TOKEN.test(this.key) && { authorization: `Bearer ${this.key}` }) };
    const signal = AbortSignal.timeout(patience);
    let answer;
    try {
      answer = await fetch(this.#url(path), { cache: "no-store", ...options, headers, signal });
    } catch (error) {
      throw new ServerError("offline", String(error));
    }
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({}));
    throw new ServerError(KINDS[answer.status] ?? "failed", error?.message ?? `HTTP ${answer.status}`, error?.param ?? "");
  }
}

const voicePath = (id) => `v1/audio/voices/${encodeURIComponent(id)}`;
