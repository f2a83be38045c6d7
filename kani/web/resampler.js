/** Samples at another rate, piece by piece: a windowed sinc; its low-pass keeps what the new rate cannot hold out. */

const ZERO_CROSSINGS = 8;

export class Resampler {
  /** Weights of the old samples around a new one, for each place between two old ones that a new one may have. */
  #weights;
  /** From one new sample to the next, in such places. */
  #step;
  #half;
  #rest;
  /** Position of the next new sample in the rest: the old sample before it, and the place after that. */
  #at;
  #place = 0;

  /** @param {number} from hertz of what comes @param {number} to hertz of what is made; whole numbers */
  constructor(from, to) {
    const shared = commonDivisor(from, to);
    const cutoff = Math.min(1, to / from);
    this.#half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.#step = from / shared;
    const places = to / shared;
    this.#weights = Array.from({ length: places }, (_, place) => weights(place / places, cutoff, this.#half));
    // Before the first sample there is silence.
    this.#rest = new Float32Array(this.#half - 1);
    this.#at = this.#half - 1;
  }

  /** Take samples; return the new ones that can be made by now. */
  take(samples) {
    const all = new Float32Array(this.#rest.length + samples.length);
    all.set(this.#rest);
    all.set(samples, this.#rest.length);
    const made = [];
    while (this.#at + this.#half < all.length) {
      made.push(this.#value(all));
      const place = this.#place + this.#step;
      this.#at += Math.floor(place / this.#weights.length);
      this.#place = place % this.#weights.length;
    }
    const used = Math.min(all.length, Math.max(0, this.#at - this.#half + 1));
    this.#rest = all.slice(used);
    this.#at -= used;
    return Float32Array.from(made);
  }

  #value(all) {
    const weights = this.#weights[this.#place];
    const first = this.#at - this.#half + 1;
    let sum = 0;
    for (let n = 0; n < weights.length; n++) sum += all[first + n] * weights[n];
    return sum;
  }
}

/** The weights for a new sample; ``behind``: its distance (0 to 1) from the old one before it. */
function weights(behind, cutoff, half) {
  return Float64Array.from({ length: 2 * half }, (_, n) => {
    const x = n - half + 1 - behind;
    const phase = Math.PI * cutoff * x;
    const sinc = x === 0 ? 1 : Math.sin(phase) / phase;
    return cutoff * sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / half));
  });
}

const commonDivisor = (one, other) => (other === 0 ? one : commonDivisor(other, one % other));

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
