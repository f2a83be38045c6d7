/** The picture of a result's video: its words over the waveform, each lit as it is said. */

import { fillBar } from "./canvas.js";
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

/**
 * What draws the pictures of an utterance: {changes: the moments, in seconds and in no order, from which on the picture is
 * another one; draw(at): the moment ``at``}.
 * @param {HTMLCanvasElement} canvas of the video's size; text needs a screen's fonts
 * @param {import("./utterance.js").Utterance} utterance
 */
export function pictureOf(canvas, utterance) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "ink", "soft", "accent", "wave", "marker", "on-marker"];
  const colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const { fontFamily, direction: shown } = getComputedStyle(find("words"));
  const right = direction(utterance.choice.language) === "rtl" || shown === "rtl";
  const peaks = peaksOf(utterance);
  const all = tokens(utterance);
  const fontOf = (size) => `500 ${size}px ${fontFamily}`;
  /** Lines that there is room for. */
  const roomFor = (size) => Math.floor((height - MARGIN - FOOT) / (size * LINE_HEIGHT));

  function wrapped(size) {
    pen.font = fontOf(size);
    const most = width - 2 * MARGIN;
    const lines = [[]];
    let used = 0;
    for (const { space, tokens: together } of runs(all)) {
      const widths = together.map(({ text }) => pen.measureText(text).width);
      const whole = widths.reduce((sum, one) => sum + one, 0);
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

  const size = SIZES.find((each) => wrapped(each).length <= roomFor(each)) ?? SIZES.at(-1);
  const lines = wrapped(size);

  function drawWave(at) {
    const each = (width - 2 * MARGIN) / BARS;
    const middle = height - FOOT / 2;
    peaks.forEach((peak, n) => {
      const tall = Math.max(6, peak * WAVE_HEIGHT);
      pen.fillStyle = (n / BARS) * utterance.seconds < at ? colours.accent : colours.wave;
      fillBar(pen, MARGIN + n * each, middle, each * 0.6, tall);
    });
  }

  function draw(at) {
    pen.fillStyle = colours.paper;
    pen.fillRect(0, 0, width, height);
    Object.assign(pen, { font: fontOf(size), textBaseline: "middle", direction: right ? "rtl" : "ltr", textAlign: "left" });
    const tall = size * LINE_HEIGHT;
    const room = roomFor(size);
    const heard = lines.findLastIndex((line) => line.some(({ from, to }) => to > from && from <= at));
    const first = Math.max(0, Math.min(heard - Math.floor(room / 2), lines.length - room));
    const shownLines = lines.slice(first, first + room);
    const top = MARGIN + Math.max(0, (room - shownLines.length) / 2) * tall;
    shownLines.forEach((line, n) => {
      const middle = top + (n + 0.5) * tall;
      for (const { text, from, to, left, width: wide } of line) {
        const x = right ? width - MARGIN - left - wide : MARGIN + left;
        const now = from <= at && at < to;
        if (now) {
          pen.fillStyle = colours.marker;
          fillBar(pen, x - 10, middle, wide + 20, 1.24 * size, 16);
        }
        pen.fillStyle = now ? colours["on-marker"] : from <= at && at > 0 ? colours.ink : colours.soft;
        pen.fillText(text, x, middle);
      }
    });
    drawWave(at);
  }

  const bars = peaks.map((_, n) => (n / BARS) * utterance.seconds);
  return { draw, changes: [0, ...bars, ...lines.flat().flatMap(({ from, to }) => [from, to])] };
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
