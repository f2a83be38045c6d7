/** A waveform that grows as audio comes, and fills as it is heard. */

import { Canvas } from "./canvas.js";

const PEAKS_PER_S = 100;
const BAR = 3;
const GAP = 2;
const SHORTEST_S = 3;
const QUIETEST = 0.05;

export class Waveform {
  #canvas;
  #peaks = [];
  #loudest = QUIETEST;
  #peak = 0;
  #counted = 0;
  #seconds = 0;
  #position = 0;

  /** @param {HTMLCanvasElement} element */
  constructor(element) {
    this.#canvas = new Canvas(element, () => this.draw(this.#position));
  }

  begin() {
    this.#peaks = [];
    this.#loudest = QUIETEST;
    this.#peak = this.#counted = this.#seconds = 0;
    this.draw(0);
  }

  /** Take samples (Int16Array) at ``rate`` hertz that follow those before. */
  add(samples, rate) {
    const each = rate / PEAKS_PER_S;
    for (const sample of samples) {
      this.#peak = Math.max(this.#peak, Math.abs(sample) / 32768);
      if (++this.#counted >= each) {
        this.#peaks.push(this.#peak);
        this.#loudest = Math.max(this.#loudest, this.#peak);
        this.#counted -= each;
        this.#peak = 0;
      }
    }
    this.#seconds += samples.length / rate;
  }

  /** Draw what has come; position: the second that is heard. */
  draw(position) {
    this.#position = position;
    const { pen, width, height, colour } = this.#canvas.clear();
    const bars = Math.floor(width / (BAR + GAP));
    const each = (Math.max(this.#seconds, SHORTEST_S) * PEAKS_PER_S) / bars;
    const heard = (position * PEAKS_PER_S) / each;
    for (let bar = 0; bar < bars; bar++) {
      const from = Math.floor(bar * each);
      let peak = -1;
      for (let n = from; n < Math.max(from + 1, (bar + 1) * each) && n < this.#peaks.length; n++) {
        peak = Math.max(peak, this.#peaks[n]);
      }
      const tall = peak < 0 ? 2 : Math.max(3, (peak / this.#loudest) * (height - 4));
      pen.fillStyle = colour(peak < 0 ? "--line" : bar < heard ? "--accent" : "--wave");
      pen.beginPath();
      pen.roundRect(bar * (BAR + GAP), (height - tall) / 2, BAR, tall, BAR / 2);
      pen.fill();
    }
  }
}
