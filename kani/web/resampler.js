/** Samples at another rate. */

import { Kernel } from "./kernel.js";

/** Samples that come piece by piece, at another rate. */
export class Resampler {
  #kernel;
  /** From one new sample to the next, in old ones. */
  #step;
  #rest;
  /** Position of the next new sample in the rest. */
  #at;

  /** @param {number} from hertz of what comes @param {number} to hertz of what is made */
  constructor(from, to) {
    this.#kernel = new Kernel(from, to);
    this.#step = from / to;
    // Before the first sample there is silence.
    this.#at = this.#kernel.half - 1;
    this.#rest = new Float32Array(this.#at);
  }

  /** Take samples; return the new ones that can be made by now. */
  take(samples) {
    const all = new Float32Array(this.#rest.length + samples.length);
    all.set(this.#rest);
    all.set(samples, this.#rest.length);
    const { half } = this.#kernel;
    const made = [];
    for (let whole = Math.floor(this.#at); whole + half < all.length; whole = Math.floor(this.#at)) {
      made.push(this.#kernel.value(all, whole, this.#at - whole));
      this.#at += this.#step;
    }
    const used = Math.min(all.length, Math.max(0, Math.floor(this.#at) - half + 1));
    this.#rest = all.slice(used);
    this.#at -= used;
    return Float32Array.from(made);
  }
}

/** The microphone's samples at another rate, in pieces of one length. */
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
