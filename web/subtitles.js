/** The times of the words as files: SRT, VTT and JSON. */

const LONGEST_CUE = 42;
const LONGEST_CUE_S = 6;
const SENTENCE_END = /[.!?…。！？।؟]["'»”’)]*$/u;

/** The words that were said, from the protocol's spans: [{text, start, end}], seconds. */
export function timedWords(text, spans) {
  const points = [...text];
  return spans
    .map(([start, end, from, to]) => ({ text: points.slice(start, end).join("").trim(), start: from, end: to, at: start }))
    .filter(({ text: word }) => /[\p{L}\p{N}]/u.test(word))
    .map(({ at, ...word }, n, all) => ({ ...word, glued: n > 0 && !/\s/u.test(points.slice(all[n - 1].at, at).join("")) }));
}

/** Words as cues of a line each: [{text, start, end}]. */
function cues(words) {
  const made = [];
  for (const { text, start, end, glued } of words) {
    const last = made.at(-1);
    const joined = last && last.text + (glued ? "" : " ") + text;
    const fits = last && !SENTENCE_END.test(last.text) && joined.length <= LONGEST_CUE && end - last.start <= LONGEST_CUE_S;
    if (fits) Object.assign(last, { text: joined, end });
    else made.push({ text, start, end });
  }
  return made;
}

/** 3723.5 as 01:02:03.500. */
function clock(seconds, mark) {
  const all = Math.round(seconds * 1000);
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  return `${two(all / 3_600_000)}:${two((all / 60_000) % 60)}:${two((all / 1000) % 60)}${mark}${String(all % 1000).padStart(3, "0")}`;
}

/** A SubRip file. */
export const srt = (words) =>
  cues(words).map(({ text, start, end }, n) => `${n + 1}\n${clock(start, ",")} --> ${clock(end, ",")}\n${text}\n\n`).join("");

/** A WebVTT file; its text may hold no markup. */
export const vtt = (words) =>
  `WEBVTT\n\n${cues(words).map(({ text, start, end }) => `${clock(start, ".")} --> ${clock(end, ".")}\n${escape(text)}\n\n`).join("")}`;

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** The words and their times in seconds, to the millisecond. */
export function json(words) {
  const round = (seconds) => Math.round(seconds * 1000) / 1000;
  const plain = words.map(({ text, start, end }) => ({ word: text, start: round(start), end: round(end) }));
  return `${JSON.stringify({ words: plain }, null, 1)}\n`;
}
