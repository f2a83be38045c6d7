/** The signal between samples. */

const ZERO_CROSSINGS = 16;
const PHASES = 512;

/** A windowed-sinc low-pass, sampled PHASES times between two source samples. */
export class Kernel {
  constructor(sourceRate, targetRate) {
    const cutoff = Math.min(1, targetRate / sourceRate);
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.taps = 2 * this.half;
    this.table = new Float32Array((PHASES + 1) * this.taps);
    for (let phase = 0; phase <= PHASES; phase++) {
      for (let tap = 0; tap < this.taps; tap++) {
        const x = tap - this.half + 1 - phase / PHASES;
        const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
        const hann = 0.5 + 0.5 * Math.cos((Math.PI * x) / this.half);
        this.table[phase * this.taps + tap] = Math.abs(x) < this.half ? cutoff * sinc * hann : 0;
      }
    }
  }

  /** The signal between window[at] and the sample after it, by ``fraction``; at is the middle of the taps. */
  value(window, at, fraction) {
    const exact = fraction * PHASES;
    const phase = Math.floor(exact);
    const blend = exact - phase;
    let low = phase * this.taps;
    let high = low + this.taps;
    let one = 0;
    let other = 0;
    for (let source = at - this.half + 1, last = at + this.half; source <= last; source++) {
      one += window[source] * this.table[low++];
      other += window[source] * this.table[high++];
    }
    return one + blend * (other - one);
  }
}
