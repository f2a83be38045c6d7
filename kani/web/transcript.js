/** Recognised speech: paragraphs of words with their times. */

/** Scripts that put no spaces between words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}\u3000-\u303f\uff00-\uffef]/u;

/** Separator of two words: a space, but none between two of a script that has none. */
export const between = (before, after) =>
  before === "" || /\s$/u.test(before) || (UNSPACED.test([...before].at(-1)) && UNSPACED.test(after)) ? "" : " ";

export class Transcript {
  /** Paragraphs, each a list of {text, start, end, glued, speaker}: in seconds; glued: without a space before it. */
  paragraphs = [];
  #open = false;

  /** Take a word, or a sentence, of a named speaker or none; return it as it is kept. */
  add({ text, start, end, speaker }) {
    if (!this.#open || this.paragraphs.at(-1)[0].speaker !== speaker) this.paragraphs.push([]);
    this.#open = true;
    const paragraph = this.paragraphs.at(-1);
    const before = paragraph.at(-1)?.text ?? "";
    const word = { text, start, end, glued: between(before, text) === "", speaker };
    paragraph.push(word);
    return word;
  }

  /** The next word begins a paragraph. */
  pause() {
    this.#open = false;
  }

  /** Everything, in order. */
  get words() {
    return this.paragraphs.flat();
  }

  /** The text of paragraph ``n``, counted from the end where it is negative. */
  textOf(n) {
    return (this.paragraphs.at(n) ?? []).map(({ text, glued }) => (glued ? "" : " ") + text).join("");
  }

  /** The whole text, with the speaker before each paragraph. */
  get dialogue() {
    return this.paragraphs.map(([{ speaker }], n) => (speaker ? `${speaker}: ` : "") + this.textOf(n)).join("\n");
  }

  /** The whole text, a line for each paragraph. */
  get text() {
    return this.paragraphs.map((_, n) => this.textOf(n)).join("\n");
  }
}
