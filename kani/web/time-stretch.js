/**
 * Speech at another tempo and the same pitch, by WSOLA (waveform similarity overlap-add).
 *
 * The output is made of windows that overlap by half. Each is taken from the input where the tempo has it, moved by up
 * to SEARCH_S to where it continues the window before it best: periods of a voice are repeated or left out whole. The
 * time of a sample of the output is therefore exact to SEARCH_S, however long the stream is.
 */

/** Half of a window. */
const HOP_S = 0.02;
const SEARCH_S = 0.012;
/** Every n-th place and sample of the first search; the second one looks at all between two places. */
const COARSE = 4;

export class TimeStretch {
  #hop;
  #search;
  #tempo;
  #rising;
  /** The input that is still needed, from sample ``#first`` of the stream on; ``#end`` is where it ends. */
  #input = new Float32Array(0);
  #first = 0;
  #end = 0;
  #windows = 0;
  /** Sample of the input with which the window before would go on, and its second half, which fades out. */
  #next = 0;
  #tail;

  /** @param {number} rate hertz @param {number} tempo seconds of the input in a second of the output */
  constructor(rate, tempo) {
    this.#tempo = tempo;
    this.#hop = Math.round(HOP_S * rate);
    this.#search = Math.round(SEARCH_S * rate);
    this.#rising = Float32Array.from({ length: this.#hop }, (_, n) => 0.5 - 0.5 * Math.cos((Math.PI * (n + 0.5)) / this.#hop));
    this.#tail = new Float32Array(this.#hop);
  }

  /** Take samples (Int16Array) of the stream; return those of the output that are known now. */
  take(samples) {
    this.#append(samples);
    return this.#windowsBefore((this.#end - this.#search - 2 * this.#hop) / this.#tempo);
  }

  /** Return the rest of the output, which is then as long as the input divided by the tempo. */
  finish() {
    const made = this.#windows * this.#hop;
    const length = Math.round(this.#end / this.#tempo);
    this.#append(new Int16Array(this.#search + 2 * this.#hop));
    return this.#windowsBefore(length).slice(0, Math.max(0, length - made));
  }

  #append(samples) {
    const kept = Math.max(0, Math.min(this.#next, this.#nominal - this.#search) - this.#first);
    const input = new Float32Array(this.#input.length - kept + samples.length);
    input.set(this.#input.subarray(kept));
    input.set(samples, this.#input.length - kept);
    this.#input = input;
    this.#first += kept;
    this.#end += samples.length;
  }

  /** Sample of the input at which the tempo has the next window. */
  get #nominal() {
    return Math.round(this.#windows * this.#hop * this.#tempo);
  }

  /** The windows that begin before sample ``length`` of the output. */
  #windowsBefore(length) {
    const count = Math.max(0, Math.ceil(length / this.#hop) - this.#windows);
    const output = new Int16Array(count * this.#hop);
    for (let n = 0; n < count; n++) this.#window(output.subarray(n * this.#hop, (n + 1) * this.#hop));
    return output;
  }

  #window(output) {
    const start = (this.#windows === 0 ? 0 : this.#bestStart()) - this.#first;
    this.#windows++;
    for (let n = 0; n < this.#hop; n++) {
      const value = this.#tail[n] + this.#rising[n] * this.#input[start + n];
      output[n] = Math.max(-32768, Math.min(32767, Math.round(value)));
      this.#tail[n] = (1 - this.#rising[n]) * this.#input[start + this.#hop + n];
    }
    if (this.#windows === 1) output.set(this.#input.subarray(start, start + this.#hop));
    this.#next = start + this.#first + this.#hop;
  }

  /** The start near the nominal one with the samples most like those that would have followed. */
  #bestStart() {
    const from = Math.max(0, this.#nominal - this.#search);
    const to = this.#nominal + this.#search;
    const near = this.#mostAlike(this.#nominal, from, to, COARSE);
    return this.#mostAlike(near, Math.max(from, near - COARSE + 1), Math.min(to, near + COARSE - 1), 1);
  }

  #mostAlike(best, from, to, step) {
    let most = this.#likeness(best, step);
    for (let start = from; start <= to; start += step) {
      const likeness = this.#likeness(start, step);
      if (likeness > most) [best, most] = [start, likeness];
    }
    return best;
  }

  #likeness(start, step) {
    const one = start - this.#first;
    const other = this.#next - this.#first;
    let product = 0;
    let energy = 1;
    for (let n = 0; n < this.#hop; n += step) {
      product += this.#input[one + n] * this.#input[other + n];
      energy += this.#input[one + n] ** 2;
    }
    return product / Math.sqrt(energy);
  }
}
