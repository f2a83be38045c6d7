/** The times of the words as files, SRT, VTT and JSON; cues follow the rules of the server's `kani/core/subtitles/`. */

import { divides, LONG_PAUSE_S } from "./sentences.js";
import { SPEAKABLE } from "./words.js";

/** Text that is not said: marks of the page, and tags; with the space before one that a space or a comma follows. */
const UNSAID = String.raw`(?:\[(?:voice|pause):[^[\]\n]*\]|</?\w[^<>]*>)+`;
const MARKUP = new RegExp(String.raw`\s*${UNSAID}(?=[\s,.;:!?])|${UNSAID}`, "giu");
/** Marks that belong to the word after them; in French with a space between. */
const OPENING = /[\p{Ps}\p{Pi}¿¡]*\s*$/u;

/** Columns of a line; a wide character takes two. */
const LINE = 42;
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u;
const LONGEST_CUE_S = 7;
/** A cue stays for so long at least, unless the next one comes earlier. */
const SHORTEST_CUE_S = 1;
const CLAUSE_END = /[,;:—،、，；：]["'»”’)\]」』*_]*$/u;
/** The end of a clause may lie farther from a cue's middle than another word's, by this share of its width. */
const CLAUSE_WORTH = 0.3;

/** The words that were said, from the protocol's spans. @return {{text: string, word: string, start: number, end: number, glued: boolean}[]} text: the word with the marks beside it; start, end: seconds; glued: without a space before it */
export function timedWords(text, spans) {
  const points = [...text];
  const slice = (from, to) => points.slice(from, to).join("");
  const said = spans.filter(([start, end]) => SPEAKABLE.test(slice(start, end)));
  const between = (from, to) => slice(from, to).replaceAll(MARKUP, "");
  let before = between(0, said[0]?.[0]);
  let glued = false;
  return said.map(([start, end, from, to], n) => {
    const gap = between(end, said[n + 1]?.[0]);
    const own = n + 1 < said.length ? gap.search(/\S*$/u) : gap.length;
    // Between words without a space, or after one, only an opening mark belongs to the next one.
    const cut = own > 0 && own < gap.length ? own : gap.search(OPENING);
    const written = before + slice(start, end) + gap.slice(0, cut);
    const word = { text: written.replaceAll(/\s+/gu, " ").trim(), word: slice(start, end).trim(), start: from, end: to, glued };
    before = gap.slice(cut);
    glued = !/\s/u.test(gap);
    return word;
  });
}

/** The words of a recognised sentence, with the marks beside them; speaker: its name, where those are told apart; words: its own in order, {word, start, end}, without them it is one word. */
export function sentenceWords(sentence, words = []) {
  const { text, glued, speaker } = sentence;
  let from = 0;
  const spans = words.flatMap(({ word, start, end }) => {
    const at = text.indexOf(word.trim(), from);
    if (at < 0) return [];
    from = at + word.trim().length;
    const first = [...text.slice(0, at)].length;
    return [[first, first + [...word.trim()].length, start, end]];
  });
  const [head, ...rest] = timedWords(text, spans);
  return head ? [{ ...head, glued }, ...rest].map((word) => ({ ...word, speaker })) : [sentence];
}

/** Words as cues: [{lines, start, end}]. */
function cues(words) {
  const groups = joined(sentences(words).flatMap(divided));
  return groups.map((group, n) => {
    const { start } = group[0];
    const next = groups[n + 1]?.[0].start ?? Infinity;
    return { lines: lines(group), start, end: Math.min(Math.max(group.at(-1).end, start + SHORTEST_CUE_S), Math.max(next, start)) };
  });
}

/** Words as sentences, or parts of them between long pauses; the first of each turn begins with its speaker. */
function sentences(words) {
  const made = [];
  for (const word of words) {
    const last = made.at(-1)?.at(-1);
    const { speaker } = word;
    if (speaker && speaker !== last?.speaker) made.push([{ ...word, text: `${speaker}: ${word.text}` }]);
    else if (!last || divides(last, word)) made.push([word]);
    else made.at(-1).push(word);
  }
  return made;
}

/** A sentence in groups that fit: halved where it does not, at a clause near its middle if there is one. */
function divided(words) {
  if (fits(words) || words.length === 1) return [words];
  const at = division(words);
  return [...divided(words.slice(0, at)), ...divided(words.slice(at))];
}

function division(words) {
  const whole = columns(joinedText(words));
  // No half of one word, if there are enough.
  const least = words.length > 3 ? 2 : 1;
  let best = { cost: Infinity };
  for (let at = least, before = columns(joinedText(words.slice(0, least))); at <= words.length - least; at++) {
    const cost = Math.abs(before - whole / 2) - (CLAUSE_END.test(words[at - 1].text) ? CLAUSE_WORTH * whole : 0);
    if (cost < best.cost) best = { cost, at };
    before += columns(spaced(words[at]));
  }
  return best.at;
}

/** A word that would be a cue by itself goes to the one after it, which it may begin ("Mr."), or else before it. */
function joined(groups) {
  const made = [];
  for (const group of groups.toReversed()) {
    const [next] = made;
    const single = next && (group.length === 1 || next.length === 1) && group[0].speaker === next[0].speaker;
    if (single && next[0].start - group.at(-1).end < LONG_PAUSE_S && fits([...group, ...next])) made[0] = [...group, ...next];
    else made.unshift(group);
  }
  return made;
}

function fits(words) {
  const short = words.at(-1).end - words[0].start <= LONGEST_CUE_S && columns(joinedText(words)) <= 2 * LINE;
  return short && lines(words).every((line) => columns(line) <= LINE);
}

/** The text of a group, on two lines of about the same width where one is not enough. */
function lines(words) {
  const whole = joinedText(words);
  if (columns(whole) <= LINE || words.length === 1) return [whole];
  const halves = words.slice(1).map((_, n) => [joinedText(words.slice(0, n + 1)), joinedText(words.slice(n + 1))]);
  const widest = (both) => Math.max(...both.map(columns));
  return halves.reduce((best, each) => (widest(each) < widest(best) ? each : best));
}

const spaced = ({ text, glued }) => (glued ? "" : " ") + text;
const joinedText = (words) => words.map((word, n) => (n ? spaced(word) : word.text)).join("");
const columns = (text) => [...text].reduce((sum, point) => sum + (WIDE.test(point) ? 2 : 1), 0);

/** 3723.5 as 01:02:03.500. */
function clock(seconds, mark) {
  const all = Math.round(seconds * 1000);
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  return `${two(all / 3_600_000)}:${two((all / 60_000) % 60)}:${two((all / 1000) % 60)}${mark}${String(all % 1000).padStart(3, "0")}`;
}

/** A SubRip file. */
export const srt = (words) => cues(words).map(({ lines, start, end }, n) => `${n + 1}\n${clock(start, ",")} --> ${clock(end, ",")}\n${lines.join("\n")}\n\n`).join("");

/** A WebVTT file; its text may hold no markup. */
export const vtt = (words) => `WEBVTT\n\n${cues(words).map(({ lines, start, end }) => `${clock(start, ".")} --> ${clock(end, ".")}\n${escape(lines.join("\n"))}\n\n`).join("")}`;

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** The words, their times in seconds, to the millisecond, and their speakers where they have names. */
export function json(words) {
  const round = (seconds) => Math.round(seconds * 1000) / 1000;
  const plain = words.map(({ text, word = text, start, end, speaker }) => ({ word, start: round(start), end: round(end), speaker }));
  return `${JSON.stringify({ words: plain }, null, 1)}\n`;
}

/** The files of words, by their endings: what writes one, and its type. */
const FILES = { srt: [srt, "application/x-subrip"], vtt: [vtt, "text/vtt"], json: [json, "application/json"] };

/** A file of words of a kind, "srt", "vtt" or "json"; undefined for any other. */
export function timesFile(words, kind) {
  const [write, type] = FILES[kind] ?? [];
  return write && new Blob([write(words)], { type });
}
