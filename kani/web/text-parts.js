/** A text in parts, each of one request: `[voice:NAME]` changes the voice, `[pause:1.5s]` makes a pause, as in the server's interface for OpenAI's clients. A part of an SSML document is one, too: what is open where it is cut is closed there, and opened again. */

/** Ends of parts, the best first: of a paragraph, a sentence, a word. */
const ENDS = [/<\/p>\s*|\n\s*/gu, /<\/s>\s*/gu, /[.!?…]["'»”’)]*\s+|[。！？।؟]["'»”’)」』]*\s*/gu, /\s+/gu];
/** A comment or a tag: what closes, its name, and what has no end of its own. */
const TAG = /<!--.*?-->|<([/?!]?)(\p{L}[\w:.-]*)(?:"[^"]*"|'[^']*'|[^<>"'])*?(\/?)>/gsu;
/** Beginning of a document. */
const DOCUMENT = /^\s*(<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE speak[^>]*>|\s)*<speak[\s/>]/su;
/** Elements that are read as one thing. */
const WHOLE = ["say-as", "sub", "phoneme", "w", "token", "audio", "desc", "metadata", "lexicon"];
const MARK = /\[(voice|pause):([^[\]\n]{1,200})\]/giu;
const LENGTH = /^(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s)?$/i;
const LONGEST_PAUSE_S = 10;
/** Seconds between two voices, at speed 1, and within a paragraph. */
const [TURN_S, NEAR_S] = [0.35, 0.12];

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
 * @return {{text: string, start: number, voice: string, pause: number}[]} start: code points before it in the text, less those that were opened again; voice: "" for the request's; pause: seconds of silence before it
 */
export function speechParts(text, most, speed, known) {
  const parts = [];
  const [tags, passed] = [tagsOf(text), counter(text)];
  let voice = "";
  let pause = 0;
  let at = 0;
  const add = (end) => {
    if (!withoutTags(text.slice(at, end)).trim()) return;
    if (parts.length && parts.at(-1).voice !== voice) pause += TURN_S / speed;
    for (const part of textParts(text, most, at, end, tags, passed)) {
      parts.push({ ...part, voice, pause });
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

/** The parts of a text that voices speak in turn, as speechParts has them; turns: {from, to, voice}. */
export function turnParts(text, most, speed, turns) {
  const [tags, passed] = [tagsOf(text), counter(text)];
  return turns.flatMap(({ from, to, voice }, n) => textParts(text, most, from, to, tags, passed).map((part, at) => {
    const pause = n > 0 && at === 0 ? (text[from - 1] === "\n" ? TURN_S : NEAR_S) / speed : 0;
    return { ...part, voice, pause };
  }));
}

/** The seconds of a pause. */
function seconds(value) {
  const [, number, unit = "s"] = LENGTH.exec(value) ?? [];
  const length = Number(number) / (unit.toLowerCase() === "ms" ? 1000 : 1);
  if (!(length <= LONGEST_PAUSE_S)) throw new MarkError("pause", value);
  return length;
}

const points = (text) => [...text].length;
/** A function that returns the code points before a place of a text, which comes after those asked for earlier: each is counted once. */
const counter = (text, at = 0, all = 0) => (place) => (all += points(text.slice(at, (at = place))));
const withoutTags = (text) => text.replace(TAG, "");

/** The tags of a text, in order: {from, to, open: opening tags of the elements that are open after it, [name, tag]}; open only in a document. */
function tagsOf(text) {
  const isDocument = DOCUMENT.test(text);
  let open = [];
  return [...text.matchAll(TAG)].map(({ 0: tag, 1: kind, 2: name, 3: empty, index }) => {
    if (kind === "/") open = open.slice(0, open.findLastIndex((one) => one[0] === name));
    else if (isDocument && name && !kind && !empty) open = [...open, [name, tag]];
    return { from: index, to: index + tag.length, open };
  });
}

const closing = (open) => open.map(([name]) => `</${name}>`).reverse().join("");

/**
 * Cut a text, between two places of it, into parts of at most ``most`` code points: each ends, in its second half, with a paragraph, else a sentence, else a word, else where it is full; never within a tag.
 * @return {{text: string, start: number}[]} start as speechParts has it
 */
export function textParts(text, most, from = 0, to = text.length, tags = tagsOf(text), passed = counter(text)) {
  const parts = [];
  const reserve = Math.max(0, ...tags.map(({ open }) => closing(open).length));
  const openAt = (place) => tags.findLast((tag) => tag.to <= place)?.open ?? [];
  const fits = (place) => !tags.some((tag) => tag.from < place && place < tag.to) && !openAt(place).some(([name]) => WHOLE.includes(name));
  for (let at = from; at < to; ) {
    const before = openAt(at).map(([, tag]) => tag).join("");
    const room = Math.max(Math.floor(most / 2), most - points(before) - reserve);
    const full = [...text.slice(at, Math.min(to, at + 2 * room))].slice(0, room).join("");
    const lastEnd = (pattern) => [...full.matchAll(pattern)].map(({ 0: mark, index }) => index + mark.length).findLast((end) => fits(at + end)) ?? 0;
    const good = ENDS.map(lastEnd).find((end) => end >= full.length / 2);
    const any = tags.findLast((tag) => tag.from > at && tag.from < at + full.length && fits(tag.from))?.from;
    const end = at + full.length === to ? to : good ? at + good : fits(at + full.length) ? at + full.length : (any ?? at + full.length);
    const part = text.slice(at, end);
    if (!before || withoutTags(part).trim()) parts.push({ text: before + part + closing(openAt(end)), start: passed(at) - points(before) });
    at = end;
  }
  return parts;
}
