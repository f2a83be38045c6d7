/**
 * A conversation with the server's language model, in OpenAI's Realtime protocol.
 *
 * The microphone's sound goes to the server as it is spoken, and the answers come as audio. By hands-free the
 * server finds the turns, and a voice interrupts an answer; by push-to-talk a turn lasts from `press` to `release`.
 * The microphone opens only for one who speaks. What is said or written before the socket is open waits for it.
 */

import { has, number, t } from "./i18n.js";
import { isSlow, PIECE, RATE } from "./listener.js";
import { loudest, Microphone } from "./microphone.js";
import { Pieces } from "./resampler.js";
import { server, ServerError } from "./server.js";

/** The shortest turn by push-to-talk. */
const SHORTEST_S = 0.25;
/** Turns that a language model is told of a conversation that goes on. */
const MOST_EARLIER = 100;
/** Codes of a socket that the server closes after an error event that says why. */
const ENDINGS = [1000, 1013];
const FORMAT = { type: "audio/pcm", rate: RATE };

export class TalkSession {
  /** True while the button of push-to-talk is held. */
  held = false;
  /** True while neither the microphone nor an answer is heard, as something else is. */
  rests = false;
  /** The microphone that is heard, null for none; and the socket, null before the conversation begins. */
  microphone = null;
  socket = null;
  #settings;
  #told;
  #earlier;
  #waiting = [];
  #pieces = new Pieces(RATE, PIECE);
  #player;
  /** Samples that were sent; how many before the turn by push-to-talk, and whether that is still to be answered. */
  #sent = 0;
  #before = 0;
  #due = false;
  /** The latest: {id, item: id of its message, begun: some has come, active: more comes, silenced: it is not heard on}. */
  #answer = null;
  /** Words for what went wrong since the last answer began. */
  #failure = "";

  /**
   * A conversation that begins with the first turn that is written, or once the microphone is open. It is made on a click.
   * @param {import("./player.js").Player} player that the answers are heard by
   * @param {Record<string, any>} settings language: spoken, "" to detect it; voice; speed; hold: by push-to-talk; persona: what the
   *   model is told to be, "" for the server's own
   * @param {Record<string, any>} told state("idle"|"hearing"|"thinking"|"speaking"); level(0 to 1); wrote(item, text): more of what
   *   was understood; understood(item, text): all of it; begins(): an answer; text(words): that begin in its next
   *   audio; audio(seconds): of it; ends(seconds): it was heard until then only, or to its end;
   *   waits(words): why none has come yet; failed(words); lost(words): all is over
   * @param {{who: string, text: string}[]} earlier turns of the conversation that goes on, "you" or "answer"; none of a new one
   */
  constructor(player, settings, told, earlier) {
    this.#earlier = earlier.slice(-MOST_EARLIER);
    this.#settings = settings;
    this.#told = told;
    this.#player = player;
    player.told = (kind) => this.#played(kind);
    player.open();
  }

  /** Hear the microphone from now on. Throws a DOMException if there is none or no permission; then one writes. */
  listen = async () => (this.microphone = await Microphone.open(true, (samples, rate) => this.#take(samples, rate)));

  /** Change the settings. */
  configure(settings) {
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    if (this.held) this.release();
    this.#settings = settings;
    this.#send(sessionUpdate(settings));
    this.#tellIdle();
  }

  /** Take what was written as a turn, which is answered. */
  write(text) {
    this.begin();
    this.interrupt();
    this.#send(turn({ who: "you", text }));
    this.#send({ type: "response.create" });
    this.#told.state("thinking");
  }

  /** Rest, or go on. */
  rest(rests) {
    this.rests = rests;
    if (this.#player.busy) this.#player.pause(rests);
    this.#told.level(0);
    this.#told.state(this.#player.busy ? "speaking" : "idle");
  }

  /** Begin a turn by push-to-talk. */
  press() {
    this.interrupt();
    this.held = true;
    this.#due = false;
    this.#before = this.#sent;
    this.#told.state("hearing");
  }

  /** End it, and have it answered. */
  release() {
    this.held = false;
    this.#append(this.#pieces.rest());
    this.#told.level(0);
    this.#due = this.#sent - this.#before >= SHORTEST_S * RATE;
    this.#send({ type: `input_audio_buffer.${this.#due ? "commit" : "clear"}` });
    if (!this.#due) return this.#tellIdle();
    this.#told.state("thinking");
  }

  /** Silence the answer at once. */
  interrupt() {
    if (this.#answer?.active) this.#send({ type: "response.cancel", response_id: this.#answer.id });
    this.#silence();
    this.#tellIdle();
  }

  /** End the conversation. Of a lost one all words that came are kept: a reload in Firefox ends it so, too. */
  async finish({ lost = false } = {}) {
    this.socket?.close();
    this.socket = null;
    this.#silence(lost);
    await this.microphone?.close();
  }

  /** Begin, unless it has begun. */
  begin() {
    if (this.socket) return this.#tellIdle();
    const socket = (this.socket = server.talkingSocket());
    socket.onopen = () => {
      const waiting = this.#waiting;
      this.#waiting = null;
      for (const message of [sessionUpdate(this.#settings), ...this.#earlier.map(turn), ...waiting]) this.#send(message);
      this.#tellIdle();
    };
    socket.onmessage = ({ data }) => this.#received(JSON.parse(data));
    socket.onclose = async ({ code }) => {
      if (this.socket !== socket) return;
      await this.finish({ lost: true });
      const told = ENDINGS.includes(code) ? this.#failure : "";
      this.#told.lost(told || (await server.whyNot()).words);
    };
  }

  #take(samples, rate) {
    if (this.rests || (this.#settings.hold && !this.held)) return;
    this.#told.level(loudest(samples));
    for (const piece of this.#pieces.take(samples, rate)) this.#append(piece);
  }

  #append(piece) {
    if (piece.length === 0) return;
    this.#sent += piece.length;
    const samples = Int16Array.from(piece, (value) => value * 32767);
    const audio = btoa(String.fromCharCode(...new Uint8Array(samples.buffer)));
    this.#send({ type: "input_audio_buffer.append", audio });
  }

  #send(message) {
    if (this.#waiting) this.#waiting.push(message);
    else if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    if (!isSlow(this.socket, this.#waiting)) return;
    this.finish();
    this.#told.lost(new ServerError("slow", "").words);
  }

  #received(event) {
    const { type } = event;
    if (type === "input_audio_buffer.speech_started") {
      // The server has cancelled its answer.
      this.#silence();
      this.#told.state("hearing");
    } else if (type === "input_audio_buffer.speech_stopped") this.#told.state("thinking");
    else if (type.startsWith("conversation.item.input_audio_transcription.")) this.#transcribed(event);
    else if (type === "response.created") this.#begins(event.response);
    else if (type === "response.done") this.#done(event.response);
    else if (type.startsWith("response.output_audio")) this.#came(event);
    else if (type === "rate_limits.updated" && event.details) this.#happens(event.details);
    else if (type === "error") this.#fails(event.error);
  }

  #transcribed({ type, item_id: item, delta, transcript, error }) {
    if (type.endsWith(".delta")) this.#told.wrote(item, delta);
    if (type.endsWith(".failed")) this.#fails(error);
    if (!type.endsWith(".completed")) return;
    if (transcript && this.#due) this.#send({ type: "response.create" });
    this.#due = false;
    if (!transcript) this.#tellIdle();
    this.#told.understood(item, transcript);
  }

  #begins({ id }) {
    this.#failure = "";
    this.#answer = { id, item: "", begun: false, active: true, silenced: false };
    // The user speaks again.
    if (this.held) this.interrupt();
    else this.#told.state("thinking");
  }

  /** Some of an answer has come: text, or the audio that it begins in. */
  #came({ type, response_id: id, item_id: item, delta }) {
    const answer = this.#answer;
    if (answer?.id !== id || answer.silenced || delta === undefined) return;
    if (!answer.begun) {
      answer.begun = true;
      answer.item = item;
      this.#player.begin();
      if (this.rests) this.#player.pause(true);
      this.#told.begins();
    }
    if (type === "response.output_audio_transcript.delta") return this.#told.text(delta);
    const samples = new Int16Array(Uint8Array.from(atob(delta), (letter) => letter.charCodeAt(0)).buffer);
    this.#told.audio(samples.length / RATE);
    this.#player.push(samples, RATE);
  }

  #done({ id, status, status_details: details }) {
    const answer = this.#answer;
    if (answer?.id !== id) return;
    answer.active = false;
    if (status === "failed") this.#fails(details.error);
    if (status === "cancelled") this.#silence();
    if (answer.begun && !answer.silenced) this.#player.finish();
    if (!answer.begun) this.#tellIdle();
  }

  /** The answer is not heard on; the server learns how much of it was, unless the connection is lost. */
  #silence(lost = false) {
    const answer = this.#answer;
    if (!answer || answer.silenced) return;
    answer.silenced = true;
    if (!this.#player.busy) return;
    const heard = this.#player.heard();
    this.#player.stop();
    if (lost) return this.#told.ends();
    const place = { item_id: answer.item, content_index: 0 };
    this.#send({ type: "conversation.item.truncate", ...place, audio_end_ms: Math.floor(1000 * heard) });
    this.#told.ends(heard);
  }

  #played(kind) {
    if (kind === "sound") this.#told.state("speaking");
    if (kind === "silent") this.#told.failed(t("talk.silent"));
    if (kind === "ended" || kind === "silent") {
      this.#told.ends();
      this.#tellIdle();
    }
  }

  /** Say that the user may speak, unless something else goes on. */
  #tellIdle() {
    const speaking = this.#player.busy || (this.#answer?.active && !this.#answer.silenced);
    if (!this.held && !speaking && this.#waiting === null) this.#told.state("idle");
  }

  #happens({ code, seconds: waited, state }) {
    if (code === "llm_waiting") this.#told.waits(t("talk.llm_waiting", { n: number(waited) }));
    // The answer rests until the server knows whether the voice over it interrupts.
    if (code === "voice_over_answer" && this.#player.busy && !this.rests) this.#player.pause(state === "heard");
  }

  #fails(error) {
    // An answer may end just before it is cancelled.
    if (error.code === "response_cancel_not_active") return;
    const known = `talk.${error.code}`;
    this.#failure = has(known) ? t(known) : new ServerError("failed", error.message, error).words;
    this.#told.failed(this.#failure);
  }
}

/** The message that adds a turn to a conversation. */
function turn({ who, text }) {
  const [role, type] = who === "you" ? ["user", "input_text"] : ["assistant", "output_text"];
  return { type: "conversation.item.create", item: { type: "message", role, content: [{ type, text }] } };
}

/** The message that configures a conversation. */
function sessionUpdate({ language, voice, speed, hold, persona }) {
  const input = {
    format: FORMAT,
    transcription: { model: "whisper-1", ...(language && { language }) },
    turn_detection: hold ? null : { type: "semantic_vad", create_response: true, interrupt_response: true },
  };
  const audio = { input, output: { format: FORMAT, voice, speed } };
  return { type: "session.update", session: { type: "realtime", audio, ...(persona && { instructions: persona }) } };
}
