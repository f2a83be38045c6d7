/** The microphone's samples at another rate, in pieces of one length. */

import { Resampler } from "./resampler.js";

export class Pieces {
  #rate;
  #resampler = null;
  #piece;
  #filled = 0;

  /** @param {number} rate hertz of the pieces @param {number} length samples of each */
  constructor(rate, length) {
    this.#rate = rate;
    this.#piece = new Float32Array(length);
  }

  /** Take samples, always at the same rate (hertz); return the pieces that are full now, from -1 to 1. */
  take(samples, rate) {
    this.#resampler ??= new Resampler(rate, this.#rate);
    const full = [];
    for (const sample of this.#resampler.take(samples)) {
      this.#piece[this.#filled++] = Math.max(-1, Math.min(1, sample));
      if (this.#filled === this.#piece.length) full.push(this.rest());
    }
    return full;
  }

  /** The piece that is not full yet; the next sample begins another. */
  rest() {
    const rest = this.#piece.slice(0, this.#filled);
    this.#filled = 0;
    return rest;
  }
}
