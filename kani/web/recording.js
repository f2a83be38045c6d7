/** A recording of the microphone, kept in this browser part by part as it grows. */

import { history } from "./history.js";
import { PIECE, RATE } from "./listener.js";
import { wavFile } from "./wav.js";

/** Longest recording that is kept to be heard again: 173 MB. */
const KEPT_S = 3600;
/** Seconds of the first part and of each other. */
const FIRST_S = 1;
const PART_S = 5;

export class Recording {
  /** Seconds that were heard. */
  seconds = 0;
  #id;
  /** Parts, each a Blob, and the samples after them. */
  #parts = [];
  #fresh = [];

  /** @param {string} id of its entry in the history */
  constructor(id) {
    this.#id = id;
  }

  /** True once there is something to keep. */
  get kept() {
    return this.#parts.length > 0;
  }

  /** Take samples at RATE, -1 to 1; returns whether they began a part. */
  take(piece) {
    this.seconds += piece.length / RATE;
    if (this.seconds > KEPT_S) return false;
    this.#fresh.push(Int16Array.from(piece, (sample) => 32767 * sample));
    const due = this.#fresh.length >= ((this.kept ? PART_S : FIRST_S) * RATE) / PIECE;
    if (due) this.keep();
    return due;
  }

  /** Keep what is new. */
  keep() {
    if (!this.#fresh.length) return;
    const part = new Blob(this.#fresh);
    history.putSound(this.#id, part, this.#parts.push(part), RATE);
    this.#fresh = [];
  }

  /** All of it, a WAV file. */
  get file() {
    return wavFile([...this.#parts, ...this.#fresh], RATE);
  }
}
