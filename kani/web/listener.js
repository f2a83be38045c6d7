/** Live recognition: the microphone's audio goes to the server as it is spoken, once the socket is open; words and pauses come back. The microphone outlives the line. */

import { connection } from "./connection.js";
import { audioMessage, markerMessage, unpack } from "./messagepack.js";
import { loudest, Microphone } from "./microphone.js";
import { Pieces } from "./resampler.js";
import { server, ServerError } from "./server.js";

/** Hertz of what is sent. */
export const RATE = 24_000;
/** Samples of a message: 40 ms. */
export const PIECE = 960;
/** Of a step's probabilities: that of a pause of two seconds; and from which on it is one. */
const PAUSE = 2;
const PAUSE_FROM = 0.6;
/** After the last word the recogniser needs silence. */
const TAIL_S = 3;
const LAST_WORDS_WITHIN_MS = 10_000;
/** Messages that are kept to be sent again, once a lost line is back: a minute. */
const KEPT = 1500;
/** Before a line is opened again, at first and at most. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** Refusals that stay as they are. */
const FINAL = ["key", "refused", "host", "origin", "proxy"];
/** Bytes that a line holds back which is too slow for live audio: 17 s of samples, 30 s as Base64. */
const MOST_WAITING = 2 * 2 ** 20;
/** True if a line is too slow, also if it is not open after 20 s. */
export const isSlow = (socket, waiting) => socket?.bufferedAmount > MOST_WAITING || waiting?.length > 500;

export class Listener {
  /** While true silence is sent instead of what is said: the page's own voice is not recognised. */
  deaf = false;
  /** True once something was said that the recogniser was not given. */
  missed = false;
  #language;
  #socket = null;
  #microphone = null;
  #pieces = new Pieces(RATE, PIECE);
  /** Messages from the last word on, and how many were before them. */
  #unheard = [];
  #before = 0;
  /** True if the socket takes audio, and the seconds before what it was sent. */
  #ready = false;
  #offset = 0;
  /** Bytes that waited on the line once what was kept was sent again. */
  #again = 0;
  #failures = 0;
  #finishes = false;
  #word = null;
  #spoken = false;
  #heard;
  #over;
  #ends = new Promise((resolve) => (this.#over = resolve));

  /**
   * Begin; a line that is lost is opened again. Throws a DOMException if there is no microphone or no permission.
   * @param {string} language that is spoken, "" to detect it
   * @param {Record<string, any>} heard word({text, start, end}), seconds since the beginning; pause(), after words; level(0 to 1);
   *   sent(Float32Array): samples at RATE, all that are recognised; lost(ServerError, again): no line, again: whether it will be opened; back(): it is
   */
  static async begin(language, heard) {
    const listener = new Listener();
    listener.#language = language;
    listener.#heard = heard;
    listener.#microphone = await Microphone.open(true, (samples, rate) => listener.#take(samples, rate));
    listener.#open();
    return listener;
  }

  #open() {
    const socket = (this.#socket = server.listeningSocket(this.#language));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#received(unpack(data));
    socket.onclose = async () => socket === this.#socket && this.#broke(() => server.whyNot());
  }

  /** Go on once there is a line again, from the last word on. */
  async #broke(reason) {
    this.#close();
    this.missed ||= this.#finishes;
    const error = await reason();
    const again = !this.#finishes && !FINAL.includes(error.kind);
    this.missed ||= !again;
    this.#heard.lost(error, again);
    if (!again) return;
    await new Promise((resolve) => setTimeout(resolve, Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++)));
    await connection.opened();
    if (!this.#finishes) this.#open();
  }

  /** End: let the microphone go, and wait for the words that are still to come; without a line there are none. */
  async finish() {
    await this.#microphone.close();
    this.#sendAudio(this.#pieces.rest());
    this.#finishes = true;
    this.missed ||= !this.#socket;
    if (!this.#socket) return;
    this.#send(markerMessage(1));
    for (let n = 0; n < (TAIL_S * RATE) / PIECE; n++) this.#send(audioMessage(new Float32Array(PIECE)));
    const late = setTimeout(() => this.#over((this.missed = true)), LAST_WORDS_WITHIN_MS);
    await this.#ends;
    clearTimeout(late);
    this.#close();
  }

  #close() {
    const socket = this.#socket;
    this.#socket = this.#word = null;
    this.#ready = false;
    socket?.close();
    if (this.#finishes) this.#over();
  }

  #take(samples, rate) {
    const heard = this.deaf ? new Float32Array(samples.length) : samples;
    this.#heard.level?.(loudest(heard));
    for (const piece of this.#pieces.take(heard, rate)) this.#sendAudio(piece);
  }

  #sendAudio(piece) {
    this.#heard.sent?.(piece);
    this.#send(audioMessage(piece));
  }

  #send(message) {
    this.#unheard.push(message);
    while (this.#unheard.length > KEPT && !this.#finishes) {
      this.#drop();
      this.missed ||= !this.#ready;
    }
    if (!this.#ready) return;
    this.#socket.send(message);
    if (this.#socket.bufferedAmount > this.#again + MOST_WAITING) this.#broke(() => new ServerError("slow", ""));
  }

  #drop() {
    this.#unheard.shift();
    this.#before++;
  }

  #received(message) {
    const { type } = message;
    if (type === "Ready") {
      this.#ready = true;
      this.#failures = 0;
      this.#offset = (this.#before * PIECE) / RATE;
      for (const each of this.#unheard) this.#socket.send(each);
      this.#again = this.#socket.bufferedAmount;
      this.#heard.back?.();
    } else if (type === "Word") {
      this.#word = message;
    } else if (type === "EndWord" && this.#word) {
      this.#spoken = true;
      const end = this.#offset + message.stop_time;
      while (this.#unheard.length && (this.#before + 1) * PIECE <= end * RATE) this.#drop();
      this.#heard.word({ text: this.#word.text, start: this.#offset + this.#word.start_time, end });
    } else if (type === "Step" && this.#spoken && message.prs[PAUSE] > PAUSE_FROM) {
      this.#spoken = false;
      this.#heard.pause?.();
    } else if (type === "Marker") {
      this.#over();
    }
  }
}
