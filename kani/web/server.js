/** The server this page came from, over HTTP; and the key that opens it. */

import { expected, reasonWords } from "./failures.js";
import { has, number, t } from "./i18n.js";
import { Memory } from "./storage.js";

/** Name of a sub-protocol (RFC 6455). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const PATIENCE_MS = 10_000;
/** A recording on a slow line. */
const UPLOAD_PATIENCE_MS = 120_000;
/** Confidence of an alignment below which its text hardly fits; that of `docs/alignment.md`. */
const LEAST_FIT = 0.42;

/** Names of the words for an error: by its kind, or by the code that the server sent. */
const WORDS = {
  busy: "problem.unavailable",
  limited: "problem.RATE_LIMITED",
  missing: "problem.VOICE_NOT_FOUND",
  late: "problem.TIMEOUT",
  offline: "problem.away",
  taken: "clone.taken",
  string_above_max_length: "problem.TEXT_TOO_LONG",
  voice_not_found: "problem.VOICE_NOT_FOUND",
};

/** The fault of a server's answer; kind: "offline", "key", "host", "origin", "proxy", "refused", "busy", "starting", "limited", "missing", "late", "slow", "taken" or "failed". */
export class ServerError extends Error {
  /** error: the object that the server sent, if it sent one: its message, param, code and reason. */
  constructor(kind, message, error = {}) {
    super(message);
    this.kind = kind;
    this.param = error.param ?? "";
    this.code = error.code ?? "";
    this.reason = error.reason ?? null;
  }

  /** Message for the user, shown beside the field. */
  get words() {
    const known = reasonWords(this.reason);
    if (known) return known;
    const name = WORDS[this.code] ?? WORDS[this.kind];
    if (name) return t(name);
    if (has(`field.${this.param}`)) return t(`field.${this.param}`);
    if (!this.param && has(`problem.${this.kind}`)) return t(`problem.${this.kind}`, { message: this.message });
    const field = `${this.param}: `;
    return this.message.startsWith(field) ? this.message.slice(field.length) : this.message;
  }
}

/** Return a handler for a promise's `catch` that tells the words of a ServerError. */
export const inWords = (tell) => expected([ServerError], ({ words }) => tell(words));

/** Opens the paths of speech recognition, where the server asks for no key of its own. */
const PUBLIC_TOKEN = "public_token";

const KINDS = { 401: "key", 403: "refused", 404: "missing", 409: "taken", 429: "limited", 503: "busy", 504: "late", 507: "busy" };

/** Settings that a refusal's message names: the refusal is known by them. */
const REFUSALS = { KANI_ALLOWED_HOSTS: "host", KANI_ALLOWED_ORIGINS: "origin", KANI_API_KEYS: "proxy" };

function kindOf(status, message) {
  const setting = status === 403 && Object.keys(REFUSALS).find((name) => message.includes(name));
  return setting ? REFUSALS[setting] : (KINDS[status] ?? "failed");
}

class Server {
  /** Asks again what it can do, and shows that. */
  learn = async () => {};
  #key = new Memory("kani.key", () => sessionStorage);

  /** The key, "" if none is known; it is forgotten when the tab is closed. */
  get key() {
    return this.#key.text;
  }

  set key(key) {
    this.#key.text = key;
  }

  /** Open a socket. A browser sends no header with it but the names of protocols: the key as one of them. */
  socket = () => new WebSocket(this.#socketUrl("tts"), TOKEN.test(this.key) ? ["voxcpm-tts", `Bearer.${this.key}`] : ["voxcpm-tts"]);

  /** Open a socket for speech recognition; language: that is spoken, "" to detect it. */
  listeningSocket(language) {
    const url = this.#socketUrl("api/asr-streaming");
    // This protocol has no sub-protocol that could carry the key, and asks for one on this machine too.
    url.searchParams.set("auth_id", this.key || PUBLIC_TOKEN);
    if (language) url.searchParams.set("language", language);
    return new WebSocket(url);
  }

  /** Open a socket for a conversation. */
  talkingSocket() {
    const protocols = TOKEN.test(this.key) ? ["realtime", `openai-insecure-api-key.${this.key}`] : ["realtime"];
    return new WebSocket(this.#socketUrl("v1/realtime"), protocols);
  }

  /**
   * Transcribe a recording: yields {text, start, end, words: [{word, start, end}]} for each sentence; with ``speakers`` all of them again at the end, each with its speaker's name. Throws ServerError.
   * @param {string} language that is spoken, "" to detect it @param {AbortSignal} signal ends it @param {(share: number) => void} sent called with the share of the recording that was sent, 0 to 1
   */
  async *transcribe(file, language, speakers, signal, sent) {
    const fields = { model: speakers ? "whisper-diarize" : "whisper-1", response_format: "verbose_json", stream: "true", ...(language && { language }) };
    const times = ["word", "segment"].map((kind) => ["timestamp_granularities[]", kind]);
    const answer = await this.#upload("v1/audio/transcriptions", [...Object.entries(fields), ...times], file, signal, sent);
    for await (const event of serverEvents(answer)) {
      if (event.segment) yield { ...event.segment, words: event.words };
      else if (event.speaker) yield event;
    }
  }

  /** Find the words of a text in a recording: yields all of it as ``transcribe`` a sentence. Throws ServerError, also of a text that hardly fits, after that. */
  async *align(file, text, language, signal, sent) {
    const fields = { text, ...(language && { language }) };
    const { words, confidence } = await (await this.#upload("v1/audio/alignments", Object.entries(fields), file, signal, sent)).json().catch(broken);
    yield { text, start: words[0].start, end: words.at(-1).end, words };
    if (confidence < LEAST_FIT) throw new ServerError("unfit", "");
  }

  /** The answer to a recording with a form's fields. Throws ServerError. */
  async #upload(path, fields, file, signal, sent) {
    const mebibytes = (await this.health()).max_upload_mib;
    const reason = { code: "too_large", values: { mebibytes } };
    if (file.size > mebibytes * 2 ** 20) throw new ServerError("refused", "", { reason });
    const body = new FormData();
    for (const [name, value] of fields) body.append(name, value);
    body.append("file", file, file.name || "recording.wav");
    const { send } = await import("./upload.js");
    return this.#answer(path, { method: "POST", body, signal }, 0, (url, asked) => send(url, asked, sent));
  }

  /** Return every voice of /v1/audio/voices. Throws ServerError. */
  voices = async () => (await this.#ask("v1/audio/voices")).voices;

  /** The content of /health: version, engines, languages (the engine that speaks each), recognizer, conversations, counters. Throws ServerError. */
  health = () => this.#ask("health");

  /** The content of /api/config: default_params and constraints of a request, voxcpm_port. Throws ServerError. */
  config = () => this.#ask("api/config");

  /** Keep a voice; form: name, audio, consent, language. Throws ServerError with the server's words. */
  keepVoice = (form) => this.#ask("v1/audio/voices", { method: "POST", body: form });

  /** A book's file as {title, author, language, cover: {type, data: Base64} or null, chapters: [{title, text, emphases, pictures, dialogue}], images}. Throws ServerError. */
  readBook = (file) => this.#ask(`v1/books?${new URLSearchParams({ name: file.name })}`, { method: "POST", body: file });

  /** Speakers of a chapter, as the language model has them: {speakers: [{name, gender}], lines: [the number of who says each part]}; asked: {text, language, known: names}. Throws ServerError. */
  speakers = async (asked) => (await this.post("v1/books/speakers", asked)).json();

  /** Make an audiobook of a book's file: yields {stage, share: 0 to 1, place}, in the end {stage: "done", id}. Throws ServerError. @param {File} file @param {Record<string, any>} manner voice, language, emotion and speed, where they were chosen @param {AbortSignal} signal ends it */
  async *audiobook(file, manner, signal) {
    const path = `v1/books/audio?${new URLSearchParams({ ...manner, name: file.name })}`;
    yield* serverEvents(await this.#answer(path, { method: "POST", body: file, signal }, 0));
  }

  /** An audiobook that was made, a Blob. Throws ServerError. */
  audiobookFile = async (id) => (await this.#answer(`v1/books/audio/${id}`, {}, 0)).blob();

  /** Rename a stored voice; the voice, with its new id. Throws ServerError. */
  renameVoice = async (id, name) => (await this.post(voicePath(id), { name }, "PATCH")).json();

  /** Delete a kept voice. Throws ServerError. */
  deleteVoice = (id) => this.#answer(voicePath(id), { method: "DELETE" });

  /** The recording of a kept voice, as it came. Throws ServerError. */
  sample = async (id) => (await this.#answer(`${voicePath(id)}/sample`)).arrayBuffer();

  /** A sentence in a voice, as MP3; language: of the sentence, for a voice that has none. Throws ServerError. */
  async preview(id, language) {
    const path = `${voicePath(id)}/preview?${new URLSearchParams({ language })}`;
    return (await this.#answer(path, { cache: "default" }, UPLOAD_PATIENCE_MS)).arrayBuffer();
  }

  /** A text as MP3, in a voice and at a speed. Throws ServerError. */
  speech = async ({ text, voice, speed }) => (await this.post("v1/audio/speech", { model: "tts-1", input: text, voice, speed })).arrayBuffer();

  /** The answer to a JSON body that is posted. Throws ServerError. */
  post = (path, body, method = "POST") => this.#answer(path, { method, body: JSON.stringify(body), headers: { "content-type": "application/json" } });

  /** The samples of an utterance as a file of a kind, "mp3" or "opus". Throws ServerError. */
  async audioFile({ pieces, sampleRate, seconds }, kind) {
    const path = `v1/audio/files?${new URLSearchParams({ response_format: kind, sample_rate: sampleRate })}`;
    // An hour takes minutes to send and to encode.
    return (await this.#answer(path, { method: "POST", body: new Blob(pieces) }, UPLOAD_PATIENCE_MS + 1000 * seconds)).blob().catch(broken);
  }

  /** Why a socket was not opened, or broke: browsers do not tell, but the same question over HTTP does. */
  async whyNot() {
    const none = new ServerError("busy", "");
    const reason = expected([ServerError], (error) => error);
    // The list of voices would be answered without a key.
    const why = await this.config().then(() => none, reason);
    if (why === none || why.kind !== "busy") return why;
    // It starts, it has started meanwhile, or it is what it said.
    const health = await this.health().then(() => none, reason);
    return health === none || health.kind === "starting" ? health : why;
  }

  /** An address on the server; a key that is no name of a protocol is part of it. */
  #url(path) {
    const url = new URL(path, document.baseURI);
    if (this.key && !TOKEN.test(this.key)) url.searchParams.set("token", this.key);
    return url;
  }

  /** The same, for a socket. */
  #socketUrl(path) {
    const url = this.#url(path);
    url.protocol = url.protocol.replace("http", "ws");
    return url;
  }

  #ask = async (path, options) => (await this.#answer(path, options)).json();

  async #answer(path, options = {}, patience = options.method ? UPLOAD_PATIENCE_MS : PATIENCE_MS, ask = fetch) {
    const headers = { ...options.headers, ...(TOKEN.test(this.key) && { authorization: `Bearer ${this.key}` }) };
    const signal = patience ? AbortSignal.timeout(patience) : undefined;
    const answer = await ask(this.#url(path), { cache: "no-store", signal, ...options, headers }).catch((error) => {
      throw options.signal?.aborted ? error : new ServerError(signal?.aborted ? "late" : "offline", String(error));
    });
    if (answer.ok) return answer;
    // ElevenLabs' interface calls its error a detail.
    const { error, detail, status, uptime, ready_in: left } = await answer.json().catch(() => ({}));
    const sent = error ?? detail ?? {};
    if (status === "starting") {
      const time = t("seconds", { n: number(left ? Math.ceil(left) : uptime) });
      throw new ServerError(status, left ? t("line.left", { time }) : time);
    }
    throw new ServerError(kindOf(answer.status, sent.message ?? ""), sent.message ?? `HTTP ${answer.status}`, sent);
  }
}

/** Throw the error of an answer that broke off, or took too long, while it came. */
function broken(error) {
  if (error.name === "TimeoutError") throw new ServerError("late", String(error));
  throw error instanceof TypeError ? new ServerError("offline", String(error)) : error;
}

/** The objects of an answer of server-sent events, up to "[DONE]". Throws ServerError. */
async function* serverEvents(answer) {
  // Not every browser iterates a stream.
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const next = () => reader.read().catch(broken);
  let rest = "";
  for (let read = await next(); !read.done; read = await next()) {
    const lines = (rest + read.value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const data = line.startsWith("data: ") ? line.slice(6) : "";
      if (!data || data === "[DONE]") continue;
      const event = JSON.parse(data);
      if (event.error) throw new ServerError("failed", event.error.message, event.error);
      yield event;
    }
  }
}

/** The server, and there is no other. */
export const server = new Server();

const voicePath = (id) => `v1/audio/voices/${encodeURIComponent(id)}`;
