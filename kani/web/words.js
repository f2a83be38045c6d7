/** The text that is spoken, each word lit while it is heard; its times come once it was said, so the next one is lit with it, unless a mark is between them. */

import { find, make } from "./element.js";
import { nameOf } from "./voices.js";

/** Scripts that are written from right to left. */
const RIGHT_TO_LEFT = new Set(["ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"]);
/** Characters of the text that are searched for the next word. */
const AHEAD = 100;
/** Pieces of a line: of about so many characters, up to the end of a word. */
const PIECE = 500;
const PIECES = new RegExp(`.{1,${PIECE}}\\S{0,40}\\s*`, "gsu");
/** Seconds before a word is heard in which it becomes an element of its own, and seconds of words that do so at a time: all of a long text would hold the page when it comes, and each by itself has its whole line laid out anew. */
const [EARLY_S, AT_ONCE_S] = [1, 6];
/** Milliseconds for which a scroll goes on. */
const SETTLES_MS = 1000;
/** Signs that a voice says. */
export const SPEAKABLE = /[\p{L}\p{N}]/u;
/** White space, and a word up to the next white space: "$1,250.50", "3/4/2024", "(or", without marks after it. */
const SPACED_WORD = /^(\s*)([\p{Sc}\p{Ps}\p{Pi}¿¡"'#@+-]*[\p{L}\p{N}](?:[^\s<>]*[\p{L}\p{N}\p{Sc}%°])?)/u;
/** Scripts without spaces between words, and their marks. */
export const UNSPACED = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}\p{scx=Tibt}\u3000-\u303f\uff00-\uffef]/u;
/** A mark of the page: the id of the voice that speaks from there on, or a pause. */
export const MARK = /\[(?:voice:([^[\]\n]*)|pause:[^[\]\n]*)\]/giu;
/** A tag, which is not said: none is "<3" or "x < y". */
export const TAG = /<\/?\p{L}[^<>]*>/gu;
/** True if a text is more than a sentence or two. */
export const isLong = (text) => text.length > 400;
/** True if a text has such marks. */
export const isMarked = (text) => text.search(MARK) >= 0;
/** Marks that a name may follow that is not spoken: a tag, or code. */
const MARKUP = /[<`{]/;

/** The direction of a language's writing: "rtl", "ltr", or "auto" where the text itself has to tell. */
export function direction(language) {
  if (!language) return "auto";
  return RIGHT_TO_LEFT.has(language.split("-")[0]) ? "rtl" : "ltr";
}

export class Words {
  #box;
  #segmenter;
  #before = make("i", { className: "said" });
  #gap = make("i");
  #next = make("span");
  #rest = make("i");
  /** The part of a line that was said, the lines after the rest, and the code points that lines end at, this one's first. */
  #line;
  #later = [];
  #ends = [];
  /** The text by its code points, how many have been shown with their times, and where later lines begin. */
  #points = [];
  #passed = 0;
  #end = 0;
  #known = 0;
  /** Things that are shown of the whole text beside its words: {emphases: [begin, end], pictures: {at, element}}; and the character of it that is shown next. */
  #rich = { emphases: [], pictures: [] };
  #at = 0;
  /** Times that have come, and are not shown yet. */
  #coming = [];
  #words = [];
  #current = -1;
  /** The word that is lit, and when it was scrolled away from, -Infinity if it was not. */
  #lit = this.#next;
  #scrolled = -Infinity;

  /** @param {HTMLElement} box where the text is shown */
  constructor(box) {
    this.#box = box;
    for (const kind of ["wheel", "touchmove", "keydown"]) box.addEventListener(kind, () => (this.#scrolled = performance.now()), { passive: true });
    // All words that can be clicked look so.
    box.addEventListener("pointermove", () => this.#reach(Infinity));
    box.addEventListener("scroll", () => this.#scrolled > 0 && "sounds" in find("stage").dataset && this.#follow(this.#lit));
    find("follow").addEventListener("click", () => this.follow());
  }

  /** Show the word that is lit, also to who has scrolled away from it. */
  follow() {
    this.#scrolled = -Infinity;
    this.#follow(this.#lit);
  }

  /** Show ``text``, before anything of it is heard, after what was said before it; language: a BCP 47 tag or ""; stays: it was shown, and is where the reader has it; emphases, pictures: of a book's chapter. */
  begin(text, language, before = "", stays = false, { emphases = [], pictures = [] } = {}) {
    this.#rich = { emphases, pictures };
    this.#at = before.length;
    this.#segmenter = new Intl.Segmenter(language || undefined, { granularity: "word" });
    const whole = before.lastIndexOf("\n") + 1;
    this.#before.replaceChildren(...(whole ? [this.#write(make("div"), before.slice(0, whole), 0)] : []), this.#write(make("i"), before.slice(whole), whole));
    // An empty one would have the style of the first line, a heading's.
    this.#before.hidden = before === "";
    this.#line = make(whole === before.length ? "div" : "span", { className: "begun" });
    this.#later = linesOf(text);
    let end = 0;
    this.#ends = this.#later.map((line) => (end += [...line].length));
    let at = before.length;
    const later = this.#later.map((line, n, all) => this.#write(make(line.endsWith("\n") && (all[n - 1] ?? "\n").endsWith("\n") ? "div" : "i"), line, (at += line.length) - line.length));
    this.#box.replaceChildren(this.#before, this.#line, this.#gap, this.#next, this.#rest, ...later, ...pictures.filter((picture) => picture.at >= at).map(({ element }) => element));
    this.#box.dir = direction(language);
    if (language) this.#box.lang = language;
    else this.#box.removeAttribute("lang");
    this.#points = [...text];
    this.#passed = this.#end = this.#known = 0;
    this.#coming = [];
    this.#words = [];
    this.#current = -1;
    this.#lit = this.#next;
    this.#foresee();
    if (stays) return;
    this.#scrolled = -Infinity;
    // No empty line above the first one.
    if (before) reveal(this.#box, this.#next, before.endsWith("\n") ? 0 : 1);
    else this.#box.scrollTop = 0;
  }

  /** Take more of the text's times. @param {number[][]} spans [start, end, start_s, end_s]: code points of the text, seconds of its audio, in order */
  add(spans) {
    for (const span of spans) this.#coming.push(span);
  }

  /** Show the words with times that have come, up to a second. */
  #reach(second) {
    const before = this.#passed;
    let taken = 0;
    for (; taken < this.#coming.length && this.#known <= second; taken++) {
      const [start, end, from, to] = this.#coming[taken];
      this.#append(start, from, from);
      this.#append(end, from, to);
      this.#known = to;
    }
    this.#coming.splice(0, taken);
    if (this.#passed !== before) this.#foresee();
  }

  /** Light the word that is heard at ``position`` (seconds), and what was heard before it. */
  show(position) {
    if (this.#known <= position + EARLY_S) this.#reach(position + AT_ONCE_S);
    const before = this.#current;
    // Playback may go back to a word that was heard before.
    while (this.#current >= 0 && this.#words[this.#current].from > position) set(this.#words[this.#current--].word, "");
    while (this.#current + 1 < this.#words.length && this.#words[this.#current + 1].from <= position) this.#current++;
    for (let n = Math.max(0, Math.min(before, this.#current)); n <= this.#current; n++) {
      const { word, to } = this.#words[n];
      set(word, n < this.#current || position >= to ? "said" : "said now");
    }
    const begun = position >= this.#known && this.#next.textContent !== "";
    set(this.#next, begun ? "said now" : "");
    if (begun) this.#follow(this.#next);
    else if (this.#current !== before && this.#current >= 0) this.#follow(this.#words[this.#current].word);
  }

  /** The second at which the word at a point of the window is said; undefined where it is not known. */
  timeAt(x, y) {
    this.#reach(Infinity);
    const element = document.elementFromPoint(x, y);
    return this.#words.find(({ word }) => word.contains(element))?.from;
  }

  /** Nothing is heard any more; all: whether the text was heard to its end. */
  end(all) {
    find("follow").hidden = true;
    if (all) this.#reach(Infinity);
    set(this.#next, "");
    for (const { word } of this.#words) {
      word.classList.remove("now");
      if (all) word.classList.add("said");
    }
  }

  /** Show the text up to a code point, which is said from one second to another. */
  #append(until, from, to) {
    while (this.#passed < until) {
      const end = Math.min(until, this.#ends[0] ?? until);
      const part = this.#points.slice(this.#passed, end).join("");
      const word = this.#write(make("span"), part, this.#at);
      this.#at += part.length;
      this.#line.append(word);
      // A gap between two words has been said with the first, and is never lit by itself.
      this.#words.push({ word, from, to: SPEAKABLE.test(part) ? to : from });
      this.#passed = end;
      if (end !== this.#ends[0]) continue;
      this.#ends.shift();
      // The pieces of a long line run on.
      if (part.endsWith("\n")) this.#line.classList.remove("begun");
      this.#line = make(part.endsWith("\n") ? "div" : "span", { className: "begun" });
      this.#gap.before(this.#line);
    }
  }

  /** Find the word that is said next, if it follows without a rest. */
  #foresee() {
    while (this.#end - this.#passed < AHEAD && this.#later.length) {
      this.#rest.nextSibling.remove();
      this.#end += [...this.#later.shift()].length;
    }
    const left = this.#points.slice(this.#passed, this.#end).join("");
    const [gap, next] = this.#nextWord(left.slice(0, AHEAD));
    const follows = gap.trim() === "" || (this.#passed === 0 && !MARKUP.test(gap));
    const word = follows ? next : "";
    const from = follows ? gap.length : 0;
    set(this.#next, "");
    const parts = [[this.#gap, 0, from], [this.#next, from, from + word.length], [this.#rest, from + word.length, left.length]];
    for (const [element, begin, end] of parts) this.#write(element, left.slice(begin, end), this.#at + begin);
  }

  /** Write a part of the text that begins at a character of it, with what is emphasized in it and the pictures before its parts. */
  #write(element, text, at) {
    const end = at + text.length;
    const emphases = this.#rich.emphases.filter(([from, to]) => from < end && to > at);
    const pictures = this.#rich.pictures.filter((picture) => picture.at >= at && picture.at < end);
    if (!emphases.length && !pictures.length) return write(element, text);
    const cuts = [...new Set([at, ...emphases.flat(), ...pictures.map((picture) => picture.at), end])].filter((cut) => cut >= at && cut <= end).sort((one, other) => one - other);
    element.replaceChildren(...cuts.slice(1).flatMap((to, n) => {
      const [from, part] = [cuts[n], text.slice(cuts[n] - at, to - at)];
      const isEmphasized = emphases.some(([begin, stop]) => begin <= from && from < stop);
      return [...pictures.filter((picture) => picture.at === from).map((picture) => picture.element), isEmphasized ? make("em", { textContent: part }) : part];
    }));
    return element;
  }

  /** The next word of a text, and what stands before it. */
  #nextWord(text) {
    const [, gap, spaced] = SPACED_WORD.exec(text) ?? ["", "", ""];
    if (spaced && !UNSPACED.test(spaced)) return [gap, spaced];
    // Not by isWordLike: to Firefox the last word of a Chinese text is none.
    const found = [...this.#segmenter.segment(text)].find(({ segment }) => SPEAKABLE.test(segment));
    const { index, segment } = found ?? { index: 0, segment: "" };
    return [text.slice(0, index), segment];
  }

  #follow(word) {
    const before = this.#lit;
    this.#lit = word;
    // A reader who has scrolled away is left there until the button is pressed, or the voice gets there.
    const away = this.#scrolled > 0 && !isSeen(this.#box, word);
    find("follow").hidden = !away;
    if (away) return;
    // A word may be lit before a wheel has moved it out of sight.
    if (performance.now() - this.#scrolled > SETTLES_MS) this.#scrolled = -Infinity;
    follow(this.#box, word, before);
  }
}

/** Code units of what an element shows before a point of the window. */
export function placeAt(element, [x, y]) {
  const caret = document.caretPositionFromPoint?.(x, y);
  const range = caret ? new Range() : document.caretRangeFromPoint(x, y);
  if (caret) range.setEnd(caret.offsetNode, caret.offset);
  range.setStart(element, 0);
  return range.toString().length;
}

/** Scroll a box to the word that is lit in it, and the page to where that is seen, unless it was scrolled away. @param {HTMLElement?} before the word that was lit last, null for none */
export function follow(box, word, before) {
  reveal(box, word);
  const { top: above, bottom: below } = (before ?? word).getBoundingClientRect();
  if (below > 0 && above < window.innerHeight) word.scrollIntoView({ block: "nearest" });
}

/** Scroll a box to a word that is not in sight in it, so that whole lines are; above: how many before its own. */
function reveal(box, word, above = 1) {
  const line = Number.parseFloat(getComputedStyle(box).lineHeight);
  if (!isSeen(box, word)) box.scrollTop = (Math.floor(word.offsetTop / line) - above) * line;
}

/** True if a word is in sight in a box, and the line after it. */
const isSeen = (box, { offsetTop: top, offsetHeight: height }) => top >= box.scrollTop && top + 2 * height <= box.scrollTop + box.clientHeight;

/** Lines, each with the empty ones after it; long ones in pieces, as the one that is spoken is written anew with each of its words. */
const linesOf = (text) => text.split(/(?<=\n)(?!\n)/u).flatMap((line) => line.match(PIECES) ?? []);

/** A text without its marks of voices and pauses, which are not said. */
export const withoutMarks = (text) => text.replaceAll(MARK, "").trim();

/** Write a text into an element, and return that; a mark of another voice is its name, and one of a pause is not to be seen. */
export function write(element, text) {
  const shown = (piece, n) => (n % 2 && piece ? make("b", { className: "mark", textContent: nameOf(piece) }) : (piece ?? ""));
  element.replaceChildren(...(text.includes("[") ? text.split(MARK).map(shown) : [text]));
  return element;
}

/** Change an element's class only where it is another: every change is work for the browser. */
function set(element, classes) {
  if (element.className !== classes) element.className = classes;
}
