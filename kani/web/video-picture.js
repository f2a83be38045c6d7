/** The picture of a result's video: its words over the waveform, each lit as it is said. */

import { find } from "./element.js";
import { direction, MARK, SPEAKABLE } from "./words.js";

/** Sizes of the letters: the largest in which the text fits; in the smallest it scrolls. */
const SIZES = [84, 72, 62, 54, 46];
const LINE_HEIGHT = 1.5;
const MARGIN = 100;
const BARS = 90;
const WAVE_HEIGHT = 120;
const FOOT = 300;
/** A mark that belongs to the word after it. */
const OPENS = /^[\p{Ps}\p{Pi}¿¡]/u;

/** Words with their times, and white space and marks between them: [{text, from, to}]; to: equals from where nothing is lit. */
function tokens({ choice: { text }, spans }) {
  const points = [...text];
  const made = [];
  let at = 0;
  let last = 0;
  const between = (end) => {
    const plain = points.slice(at, end).join("").replaceAll(MARK, "").replaceAll(/\s+/gu, " ");
    for (const piece of plain.split(/(?<=\s)|(?=\s)/u)) if (piece) made.push({ text: piece, from: last, to: last });
  };
  for (const [start, end, from, to] of spans) {
    between(start);
    const text = points.slice(start, end).join("");
    // A mark that has a time of its own is not lit.
    made.push({ text, from, to: SPEAKABLE.test(text) ? to : from });
    at = end;
    last = to;
  }
  between(points.length);
  return made;
}

/** Tokens that no line divides: a word with its marks, "(yes!)", or white space: [{space, word, tokens}]. */
export function runs(all) {
  const made = [];
  for (const token of all) {
    const space = !token.text.trim();
    const word = token.to > token.from;
    const last = made.at(-1);
    const begins = word || OPENS.test(token.text);
    if (!last || space || last.space || (last.word && begins)) made.push({ space, word, tokens: [token] });
    else {
      last.tokens.push(token);
      last.word ||= word;
    }
  }
  return made;
}

export class Picture {
  #pen;
  #width;
  #height;
  #colours;
  #size;
  #lines;
  #right;
  #peaks;
  #seconds;
  #fonts;

  /**
   * @param {HTMLCanvasElement} canvas of the video's size; text needs a screen's fonts
   * @param {import("./utterance.js").Utterance} utterance
   */
  constructor(canvas, utterance) {
    this.#pen = canvas.getContext("2d");
    [this.#width, this.#height] = [canvas.width, canvas.height];
    const style = getComputedStyle(document.documentElement);
    const names = ["paper", "ink", "soft", "accent", "wave", "marker", "on-marker"];
    this.#colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const words = find("words");
    this.#fonts = getComputedStyle(words).fontFamily;
    this.#right = direction(utterance.choice.language) === "rtl" || getComputedStyle(words).direction === "rtl";
    this.#seconds = utterance.seconds;
    this.#peaks = peaksOf(utterance);
    const all = tokens(utterance);
    for (this.#size of SIZES) {
      this.#lines = this.#wrapped(all);
      if (this.#lines.length <= this.#room) break;
    }
  }

  /** The moments, in seconds and in no order, from which on the picture is another one. */
  get changes() {
    const bars = this.#peaks.map((_, n) => (n / BARS) * this.#seconds);
    return [0, ...bars, ...this.#lines.flat().flatMap(({ from, to }) => [from, to])];
  }

  /** Lines that there is room for. */
  get #room() {
    return Math.floor((this.#height - MARGIN - FOOT) / (this.#size * LINE_HEIGHT));
  }

  #wrapped(all) {
    this.#pen.font = `500 ${this.#size}px ${this.#fonts}`;
    const most = this.#width - 2 * MARGIN;
    const lines = [[]];
    let used = 0;
    for (const { space, tokens: together } of runs(all)) {
      const widths = together.map(({ text }) => this.#pen.measureText(text).width);
      const whole = widths.reduce((sum, width) => sum + width, 0);
      if (used > 0 && used + whole > most && !space) {
        lines.push([]);
        used = 0;
      }
      if (space && used === 0) continue;
      together.forEach((token, n) => {
        lines.at(-1).push({ ...token, left: used, width: widths[n] });
        used += widths[n];
      });
    }
    return lines;
  }

  /** Draw the moment ``at``, in seconds. */
  draw(at) {
    const pen = this.#pen;
    const { paper, ink, soft, marker } = this.#colours;
    pen.fillStyle = paper;
    pen.fillRect(0, 0, this.#width, this.#height);
    pen.font = `500 ${this.#size}px ${this.#fonts}`;
    pen.textBaseline = "middle";
    pen.direction = this.#right ? "rtl" : "ltr";
    pen.textAlign = "left";
    const tall = this.#size * LINE_HEIGHT;
    const room = this.#room;
    const heard = this.#lines.findLastIndex((line) => line.some(({ from, to }) => to > from && from <= at));
    const first = Math.max(0, Math.min(heard - Math.floor(room / 2), this.#lines.length - room));
    const shown = this.#lines.slice(first, first + room);
    const top = MARGIN + Math.max(0, (room - shown.length) / 2) * tall;
    shown.forEach((line, n) => {
      const middle = top + (n + 0.5) * tall;
      for (const { text, from, to, left, width } of line) {
        const x = this.#right ? this.#width - MARGIN - left - width : MARGIN + left;
        const now = from <= at && at < to;
        if (now) {
          pen.fillStyle = marker;
          pen.beginPath();
          pen.roundRect(x - 10, middle - 0.62 * this.#size, width + 20, 1.24 * this.#size, 16);
          pen.fill();
        }
        pen.fillStyle = now ? this.#colours["on-marker"] : from <= at && at > 0 ? ink : soft;
        pen.fillText(text, x, middle);
      }
    });
    this.#drawWave(at);
  }

  #drawWave(at) {
    const pen = this.#pen;
    const each = (this.#width - 2 * MARGIN) / BARS;
    const middle = this.#height - FOOT / 2;
    this.#peaks.forEach((peak, n) => {
      const tall = Math.max(6, peak * WAVE_HEIGHT);
      pen.fillStyle = (n / BARS) * this.#seconds < at ? this.#colours.accent : this.#colours.wave;
      pen.beginPath();
      pen.roundRect(MARGIN + n * each, middle - tall / 2, each * 0.6, tall, each * 0.3);
      pen.fill();
    });
  }
}

/** The loudest of each of BARS stretches, 0 to 1. */
function peaksOf({ pieces, samples }) {
  const peaks = new Array(BARS).fill(0);
  let at = 0;
  for (const piece of pieces) {
    for (const sample of piece) {
      const bar = Math.min(BARS - 1, Math.floor((at++ / samples) * BARS));
      peaks[bar] = Math.max(peaks[bar], Math.abs(sample));
    }
  }
  const loudest = Math.max(1, ...peaks);
  return peaks.map((peak) => peak / loudest);
}
