/** Samples at another rate, piece by piece: a windowed sinc, whose low-pass keeps what the new rate cannot hold out. */

const ZERO_CROSSINGS = 8;

export class Resampler {
  #step;
  #cutoff;
  #half;
  #rest = new Float32Array(0);
  /** Position of the next new sample in the rest, in old samples. */
  #at;

  /** @param {number} from hertz of what comes @param {number} to hertz of what is made */
  constructor(from, to) {
    this.#step = from / to;
    this.#cutoff = Math.min(1, to / from);
    this.#half = Math.ceil(ZERO_CROSSINGS / this.#cutoff);
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
    for (; Math.floor(this.#at) + this.#half < all.length; this.#at += this.#step) made.push(this.#value(all, this.#at));
    const used = Math.min(all.length, Math.max(0, Math.floor(this.#at) - this.#half + 1));
    this.#rest = all.slice(used);
    this.#at -= used;
    return Float32Array.from(made);
  }

  #value(all, at) {
    const middle = Math.floor(at);
    let sum = 0;
    for (let n = middle - this.#half + 1; n <= middle + this.#half; n++) {
      const x = n - at;
      const phase = Math.PI * this.#cutoff * x;
      const sinc = x === 0 ? 1 : Math.sin(phase) / phase;
      sum += all[n] * this.#cutoff * sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / this.#half));
    }
    return sum;
  }
}
