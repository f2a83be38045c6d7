/** Live recognition: the microphone's audio goes to the server as it is spoken, once the socket is open; words and pauses come back. */

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
/** Whether a line holds back so much that it is too slow for live audio: 17 s of samples (30 s as Base64), or 20 s before it is open. */
export const isSlow = (socket, waiting) => socket?.bufferedAmount > 2 * 2 ** 20 || waiting?.length > 500;

export class Listener {
  /** While true silence is sent instead of what is said: the page's own voice is not recognised. */
  deaf = false;
  #socket;
  #microphone = null;
  #pieces = new Pieces(RATE, PIECE);
  #waiting = [];
  #word = null;
  #spoken = false;
  #heard;
  #over;
  #ends = new Promise((resolve) => (this.#over = resolve));

  /**
   * Begin. Throws a DOMException if there is no microphone or no permission.
   * @param {string} language that is spoken, "" to detect it
   * @param {Record<string, any>} heard word({text, start, end}), seconds since the beginning; pause(), after words; level(0 to 1);
   *   sent(Float32Array): samples at RATE, all that are recognised; lost(ServerError): the server ended it
   */
  static async begin(language, heard) {
    const listener = new Listener();
    listener.#heard = heard;
    listener.#microphone = await Microphone.open(true, (samples, rate) => listener.#take(samples, rate));
    const socket = (listener.#socket = server.listeningSocket(language));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => listener.#received(unpack(data));
    socket.onclose = async () => {
      if (listener.#socket !== socket) return;
      listener.#close();
      await listener.#microphone.close();
      heard.lost(await server.whyNot());
    };
    return listener;
  }

  /** End: let the microphone go, and wait for the words that are still to come. */
  async finish() {
    await this.#microphone.close();
    this.#sendAudio(this.#pieces.rest());
    this.#send(markerMessage(1));
    for (let n = 0; n < (TAIL_S * RATE) / PIECE; n++) this.#send(audioMessage(new Float32Array(PIECE)));
    const late = setTimeout(this.#over, LAST_WORDS_WITHIN_MS);
    await this.#ends;
    clearTimeout(late);
    this.#close();
  }

  #close() {
    this.#socket?.close();
    this.#socket = null;
    this.#over();
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
    if (this.#waiting) this.#waiting.push(message);
    else if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(message);
    if (!isSlow(this.#socket, this.#waiting)) return;
    this.#close();
    this.#microphone.close();
    this.#heard.lost(new ServerError("slow", ""));
  }

  #received(message) {
    const { type } = message;
    if (type === "Ready") {
      const waiting = this.#waiting ?? [];
      this.#waiting = null;
      for (const each of waiting) this.#send(each);
    } else if (type === "Word") {
      this.#word = message;
    } else if (type === "EndWord" && this.#word) {
      this.#spoken = true;
      this.#heard.word({ text: this.#word.text, start: this.#word.start_time, end: message.stop_time });
    } else if (type === "Step" && this.#spoken && message.prs[PAUSE] > PAUSE_FROM) {
      this.#spoken = false;
      this.#heard.pause?.();
    } else if (type === "Marker") {
      this.#over();
    }
  }
}
