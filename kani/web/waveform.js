/** A waveform that grows as audio comes, as wide as what is expected, fills as it is heard, and is the slider of the position: clicked, dragged, or moved by keys. */

import { canvasOf, fillBar } from "./canvas.js";
import { queryAll } from "./element.js";
import { seconds, t } from "./i18n.js";

const PEAKS_PER_S = 100;
const BAR = 3;
const GAP = 2;
const SHORTEST_S = 3;
const QUIETEST = 0.05;
/** Steps that a key moves by, of so many seconds, and of more where there are many. */
const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 2, PageDown: -2, Home: -Infinity, End: Infinity };
const [STEP_S, LONG_STEP_S, LONG_S] = [5, 15, 120];

export class Waveform {
  #clear;
  #element;
  #seek;
  #peaks = [];
  #loudest = QUIETEST;
  #peak = 0;
  #counted = 0;
  /** Seconds that have come; a length without samples has no bars. */
  seconds = 0;
  /** Seconds that are expected in all; 0 where nothing more comes. */
  expected = 0;
  /** Seconds before the first one, which never come. */
  earlier = 0;
  #position = 0;
  /** The second at which a pointer holds the slider, null for none. */
  #held = null;

  /** @param {HTMLElement} element @param {(position: number) => void} seek called with the second from which the audio is to be heard */
  constructor(element, seek) {
    this.#element = element;
    this.#clear = canvasOf(element, () => this.draw(this.#position));
    Object.assign(element, { ariaLabel: t("seek.label"), ariaValueMin: "0" });
    const holds = (event) => {
      const { left, width } = element.getBoundingClientRect();
      this.#held = this.#within(((event.clientX - left) / width) * this.#scale - this.earlier);
      this.draw(this.#position);
    };
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      if (event.button === 0) holds(event);
    });
    element.addEventListener("pointermove", (event) => this.#held !== null && holds(event));
    const ends = ({ type }) => {
      const position = this.#held;
      this.#held = null;
      if (position !== null && type === "pointerup") seek(position);
      else this.draw(this.#position);
    };
    for (const kind of ["pointerup", "pointercancel"]) element.addEventListener(kind, ends);
    element.addEventListener("keydown", (event) => {
      if (!(event.key in STEPS) || (event.repeat && !this.seconds)) return;
      event.preventDefault();
      this.step(event.key);
    });
    this.#seek = seek;
    for (const step of queryAll(".step", element.parentElement)) step.addEventListener("click", () => this.step(step.value));
  }

  /** Move as a key does, one of STEPS. */
  step(key) {
    const second = this.#within(this.#position + STEPS[key] * (this.#scale > LONG_S ? LONG_STEP_S : STEP_S));
    // At once, so that another key goes on from there.
    this.draw(second);
    this.#seek(second);
  }

  begin() {
    this.#peaks = [];
    this.#loudest = QUIETEST;
    this.#peak = this.#counted = this.seconds = this.earlier = 0;
    this.expected = SHORTEST_S;
    this.#held = null;
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
    this.seconds += samples.length / rate;
  }

  /** Seconds that the whole width stands for. */
  get #scale() {
    return this.earlier + Math.max(this.seconds, this.expected, 0.1);
  }

  #within = (second) => Math.min(Math.max(-this.earlier, second), this.#scale - this.earlier);

  /** Draw what has come; position: the second that is heard. */
  draw(position) {
    this.#position = Math.min(position, this.seconds);
    const shown = this.#held ?? this.#position;
    const { pen, width, height, colour } = this.#clear();
    const bars = Math.floor(width / (BAR + GAP));
    const each = (this.#scale * PEAKS_PER_S) / bars;
    const before = this.earlier * PEAKS_PER_S;
    const heard = (before + shown * PEAKS_PER_S) / each;
    for (let bar = 0; bar < bars; bar++) {
      const from = Math.floor(bar * each - before);
      let peak = -1;
      for (let n = Math.max(0, from); n < Math.max(from + 1, (bar + 1) * each - before) && n < this.#peaks.length; n++) peak = Math.max(peak, this.#peaks[n]);
      const tall = peak < 0 ? 2 : Math.max(3, (peak / this.#loudest) * (height - 4));
      pen.fillStyle = colour(bar < heard ? "--accent" : peak < 0 ? "--line" : "--wave");
      fillBar(pen, bar * (BAR + GAP), height / 2, BAR, tall);
    }
    // To a screen reader, by tenths of a second.
    const [at, end] = [this.earlier + shown, this.earlier + this.seconds];
    const [now, length] = [at.toFixed(1), end.toFixed(1)];
    if (this.#element.ariaValueNow === now && this.#element.ariaValueMax === length) return;
    const words = t("seek.value", { at: seconds(at), length: seconds(end) });
    Object.assign(this.#element, { ariaValueMax: length, ariaValueNow: now, ariaValueText: words });
  }
}
