/** The picture of a result's video: its words over the waveform, each lit as it is said. */

import { fillBar } from "./canvas.js";
import { find } from "./element.js";
import { timedWords } from "./subtitles.js";
import { direction } from "./words.js";

/** Sizes of the letters: the largest in which the text fits; in the smallest it scrolls. */
const SIZES = [84, 72, 62, 54, 46];
const LINE_HEIGHT = 1.5;
const MARGIN = 100;
const BARS = 90;
const WAVE_HEIGHT = 120;
const FOOT = 300;

/** Return what draws the pictures of an utterance: {changes: the moments, in seconds and in no order, from which on the picture is another one; draw(at)}. @param {HTMLCanvasElement} canvas of the video's size; text needs a screen's fonts */
export function pictureOf(canvas, utterance) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "ink", "soft", "accent", "wave", "marker", "on-marker"];
  const colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const { fontFamily, direction: shown } = getComputedStyle(find("words"));
  const right = direction(utterance.choice.language) === "rtl" || shown === "rtl";
  const peaks = peaksOf(utterance);
  const points = [...utterance.choice.text];
  const end = utterance.spans.at(-1)?.[1] ?? 0;
  // With the marks beside them; not the text after them.
  const [marks] = /^[^\p{L}\p{N}]*/u.exec(points.slice(end).join(""));
  const words = timedWords(points.slice(0, end).join("") + marks, utterance.spans);
  const fontOf = (size) => `500 ${size}px ${fontFamily}`;
  /** Lines that there is room for. */
  const roomFor = (size) => Math.floor((height - MARGIN - FOOT) / (size * LINE_HEIGHT));

  function wrapped(size) {
    pen.font = fontOf(size);
    const widthOf = (some) => pen.measureText(some).width;
    const lines = [[]];
    let used = 0;
    for (const { text, word, start: from, end: to, glued } of words) {
      const wide = widthOf(text);
      const left = used && used + (glued ? 0 : widthOf(" "));
      const fits = left === 0 || left + wide <= width - 2 * MARGIN;
      if (!fits) lines.push([]);
      lines.at(-1).push({ text, word, from, to, wide, left: fits ? left : 0, before: widthOf(text.slice(0, text.indexOf(word))), lit: widthOf(word) });
      used = lines.at(-1).at(-1).left + wide;
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
      for (const { text, word, from, to, wide, left, before, lit } of line) {
        const x = right ? width - MARGIN - left - wide : MARGIN + left;
        pen.fillStyle = from <= at && at > 0 ? colours.ink : colours.soft;
        pen.fillText(text, x, middle);
        if (at < from || at >= to) continue;
        const marked = right ? x + wide - before - lit : x + before;
        pen.fillStyle = colours.marker;
        fillBar(pen, marked - 10, middle, lit + 20, 1.24 * size, 16);
        pen.fillStyle = colours["on-marker"];
        pen.fillText(word, marked, middle);
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
