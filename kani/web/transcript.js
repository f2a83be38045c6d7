/** Recognised speech as it is shown, corrected, kept and saved: rows of words with their times. */

import { clock } from "./i18n.js";
import { newId } from "./storage.js";
import { divides } from "./sentences.js";
import { sentenceWords } from "./subtitles.js";
import { UNSPACED } from "./words.js";

/** Separator of two words: a space, but none between two of a script that has none. */
export const between = (before, after) => before === "" || /\s$/u.test(before) || (UNSPACED.test([...before].at(-1)) && UNSPACED.test(after)) ? "" : " ";

/** The text of some rows, or of one. */
export const textOf = (...rows) => rows.flatMap(({ words }) => words).map(({ text, glued }, n) => (glued || n === 0 ? "" : " ") + text).join("");

/** Rows as they are before they change. */
export const copyOf = (rows) => rows.map((row) => ({ ...row, words: row.words.map((word) => ({ ...word })) }));

/** Time up to which a recording was heard, and its length where that is known: "0:12 / 3:13". */
export const reachOf = ({ rows, cut }) => [Math.min(rows.at(-1)?.words.at(-1).end ?? 0, cut || Infinity), ...(cut ? [cut] : [])].map(clock).join(" / ");

export class Transcript {
  id = newId();
  time = Date.now();
  /** Name of the file that was heard, "" of the microphone. */
  name = "";
  /** A row for each sentence: {speaker: name or "", paragraph: it follows a pause or another speaker, words: [{text, start, end, glued}]}; start, end: seconds; glued: without a space before it. */
  rows = [];
  /** The text that the user has of what was said, so that only its times are found; "" for none, null before the user was asked. */
  given = null;
  /** The recording, a Blob; null for none. */
  recording = null;
  /** Seconds of a recording that was not heard to its end, 0 where that is not known; null of a whole one. */
  cut = null;
  stopped = false;
  #paused = true;

  /** A transcript that was kept. */
  static from = (entry) => Object.assign(new Transcript(), entry);

  /** Its entry in the history. */
  get entry() {
    return { ...this, kind: "transcript" };
  }

  /** Take a word, or a sentence, of a named speaker or none. @param {Record<string, any>} said text, start, end, speaker @param {Record<string, any>[]} [words] those of a sentence, [{word, start, end}] */
  add({ text, start, end, speaker = "" }, words) {
    const last = this.rows.at(-1);
    const paragraph = this.#paused || last.speaker !== speaker;
    const glued = !last || between(last.words.at(-1).text, text) === "";
    this.#paused = false;
    for (const [n, word] of sentenceWords({ text, start, end, glued }, words).entries()) {
      const begins = n === 0 && paragraph;
      const row = this.rows.at(-1);
      if (begins || divides(row.words.at(-1), word)) this.rows.push({ speaker, paragraph: begins, words: [word] });
      else row.words.push(word);
    }
  }

  /** The next word begins a paragraph. */
  pause() {
    this.#paused = true;
  }

  /** Have nothing of it any more. */
  empty() {
    this.rows = [];
    this.#paused = true;
  }

  /** Every word, in order, with its speaker. */
  get words() {
    return this.rows.flatMap(({ speaker, words }) => words.map((word) => ({ ...word, speaker })));
  }

  /** Its paragraphs, each a list of rows. */
  get paragraphs() {
    const made = [];
    for (const row of this.rows) {
      if (row.paragraph || !made.length) made.push([row]);
      else made.at(-1).push(row);
    }
    return made;
  }

  /** The whole text, a line for each paragraph. */
  get text() {
    return this.paragraphs.map((rows) => textOf(...rows)).join("\n");
  }

  /** The whole text, with the speaker before each paragraph. */
  get dialogue() {
    return this.paragraphs.map((rows) => (rows[0].speaker ? `${rows[0].speaker}: ` : "") + textOf(...rows)).join("\n");
  }

  /** Call a speaker by another name. */
  rename(before, after) {
    for (const row of this.rows) if (row.speaker === before) row.speaker = after;
  }

  /** Divide a row before the word that begins at a character of its text, or after it. Returns the new row, null where there is none. */
  split(row, at) {
    const first = row.words.findIndex((_, n) => textOf({ words: row.words.slice(0, n + 1) }).length > at);
    if (first < 1) return null;
    const made = { ...row, paragraph: false, words: row.words.splice(first) };
    this.rows.splice(this.rows.indexOf(row) + 1, 0, made);
    return made;
  }

  /** Have a row be the end of the one before it, which is returned. */
  join(row) {
    const at = this.rows.indexOf(row);
    const before = this.rows[at - 1];
    row.words[0].glued = between(before.words.at(-1).text, row.words[0].text) === "";
    before.words.push(...row.words);
    this.rows.splice(at, 1);
    return before;
  }

  /** Have a row be said by another speaker. */
  give(row, speaker) {
    row.speaker = speaker;
    const at = this.rows.indexOf(row);
    const turns = (n) => this.rows[n - 1]?.speaker !== this.rows[n].speaker;
    row.paragraph = turns(at);
    if (at + 1 < this.rows.length) this.rows[at + 1].paragraph ||= turns(at + 1);
  }

  /** The speakers, in the order in which they speak. */
  get speakers() {
    return [...new Set(this.rows.map(({ speaker }) => speaker))].filter(Boolean);
  }

  /** Replace the text of a row: words that stay keep their times, and new ones after the last of them share its time. A row without a word is gone. */
  correct(row, text) {
    const { words } = row;
    row.words = aligned(words, text.trim(), words[0].start);
    const last = row.words.at(-1);
    // A recogniser's own words may take no time.
    if (last && words.some(({ text, start }) => text === last.text && start === last.start)) return;
    if (last) return shareTime(row.words.slice(row.words.findLastIndex(({ start, end }) => end > start)));
    const next = this.rows[this.rows.indexOf(row) + 1];
    if (next) next.paragraph ||= row.paragraph;
    this.rows = this.rows.filter((one) => one !== row);
  }
}

/** The words of a text by those of another: {text, start, end, glued}; at: the second before them, where none stays. */
function aligned(words, text, at) {
  if (!text) return [];
  const found = words.findIndex((word) => placeOf(word.text, text) >= 0);
  if (found < 0) return spread(words, text, at);
  const word = words[found];
  const place = placeOf(word.text, text);
  const before = aligned(words.slice(0, found), text.slice(0, place).trimEnd(), words[0].start);
  const rest = text.slice(place + word.text.length);
  const after = aligned(words.slice(found + 1), rest.trimStart(), word.end);
  if (after.length) after[0].glued = !/^\s/u.test(rest);
  return [...before, { ...word, glued: before.length ? !/\s$/u.test(text.slice(0, place)) : word.glued }, ...after];
}

/** Have words share the time of the first of them. */
function shareTime(words) {
  const [{ start, end }] = words;
  const each = (end - start) / words.length;
  for (const [n, word] of words.entries()) Object.assign(word, { start: start + n * each, end: start + (n + 1) * each });
}

/** Place of a word by itself in a text, -1 for none. */
function placeOf(word, text) {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const sides = [text.slice(0, at).at(-1), text[at + word.length]];
    if (UNSPACED.test(word) || sides.every((side) => !side || /\s/u.test(side))) return at;
  }
  return -1;
}

/** The words of a text that share the time of others by their lengths. */
function spread(words, text, at) {
  const [start, end] = words.length ? [words[0].start, words.at(-1).end] : [at, at];
  const share = (end - start) / text.length;
  return [...text.matchAll(/\S+/gu)].map(({ 0: word, index }, n) =>
    ({ text: word, start: start + index * share, end: start + (index + word.length) * share, glued: n === 0 }));
}
