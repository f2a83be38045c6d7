/** A text in parts, each of one request: `[voice:NAME]` changes the voice, `[pause:1.5s]` makes a pause, as in the server's interface for OpenAI's clients. */

/** Ends of parts, the best first: of a paragraph, a sentence, a word. */
const ENDS = [/\n\s*/gu, /[.!?…]["'»”’)]*\s+|[。！？।؟]["'»”’)」』]*\s*/gu, /\s+/gu];
const MARK = /\[(voice|pause):([^[\]\n]{1,200})\]/giu;
const LENGTH = /^(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s)?$/i;
const LONGEST_PAUSE_S = 10;
/** Seconds between two voices, at speed 1. */
const TURN_S = 0.35;

/** A mark that the server would refuse, too; code: of the page's words for it. */
export class MarkError extends Error {
  /** @param {"voice"|"pause"} code @param {string} value of the mark */
  constructor(code, value) {
    super(`${code}: ${value}`);
    this.code = code;
    this.value = value;
  }
}

/**
 * The parts of a text, each at most ``most`` code points long; known: whether there is a voice. Raises MarkError.
 * @return {{text: string, start: number, voice: string, pause: number}[]} start: code points before it in the text; voice: "" for the request's; pause: seconds of silence before it
 */
export function speechParts(text, most, speed, known) {
  const parts = [];
  let voice = "";
  let pause = 0;
  let at = 0;
  const add = (end) => {
    const written = text.slice(at, end);
    let start = [...text.slice(0, at)].length;
    if (!written.trim()) return;
    if (parts.length && parts.at(-1).voice !== voice) pause += TURN_S / speed;
    for (const part of textParts(written, most)) {
      parts.push({ text: part, start, voice, pause });
      start += [...part].length;
      pause = 0;
    }
  };
  for (const { 0: mark, 1: kind, 2: value, index } of text.matchAll(MARK)) {
    add(index);
    at = index + mark.length;
    if (kind.toLowerCase() === "pause") pause += seconds(value.trim());
    else if (known(value.trim())) voice = value.trim();
    else throw new MarkError("voice", value);
  }
  add(text.length);
  return parts;
}

/** The seconds of a pause. */
function seconds(value) {
  const [, number, unit = "s"] = LENGTH.exec(value) ?? [];
  const length = Number(number) / (unit.toLowerCase() === "ms" ? 1000 : 1);
  if (!(length <= LONGEST_PAUSE_S)) throw new MarkError("pause", value);
  return length;
}

/** Cut a text into parts of at most ``most`` code points: each ends, in its second half, with a paragraph, else a sentence, else a word, else where it is full. */
export function textParts(text, most) {
  const parts = [];
  let rest = [...text];
  while (rest.length > most) {
    const part = rest.slice(0, most).join("");
    const lastEnd = (pattern) => [...part.matchAll(pattern)].reduce((_, { 0: mark, index }) => index + mark.length, 0);
    const end = ENDS.map(lastEnd).find((at) => at >= part.length / 2) ?? part.length;
    const cut = part.slice(0, end);
    parts.push(cut);
    rest = rest.slice([...cut].length);
  }
  return [...parts, rest.join("")];
}
