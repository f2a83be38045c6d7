/** Turns of both sides of a conversation: a paragraph for each turn; the words of an answer are lit as they are heard. */

import { copied } from "./clipboard.js";
import { button, find, make, query } from "./element.js";
import { t } from "./i18n.js";

/** Turns as a text, a line for each, with who speaks before it. */
export const dialogueOf = (lines) => lines.map(({ name, text }) => `${name}: ${text}`).join("\n");

/** Pixels between a word that is followed and the edge, where lines fade. */
const MARGIN = 16;
const MARK = /^[^\s\p{L}\p{N}]+$/u;
/** Marks of Markdown: emphasis, code, headings; and the end of a link that may have begun in earlier words. */
const MARKUP = /\[(?=[^\]]*$)|\*\*|__|`+\w*$|`|(?<=^\s*)#+$|(?<![\p{L}\p{N}*])\*(?=\S)|(?<=\S)\*(?![\p{L}\p{N}*])/gu;
/** Beginning of a list's item: nothing else is on its line before the words. */
const ITEM = /(?<=\n\s*)[-*+]$/u;
const LINK = /\[?([^[\]\s]*)\]\(\S*?\)/u;

export class TalkLines {
  #box = find("talk-lines");
  #acts;
  #icons = /** @type {HTMLTemplateElement} */ (document.getElementById("talk-icons")).content;
  /** Paragraphs of what the user said, by the id of the item. */
  #said = new Map();

  /** @param {Record<string, any>} acts edit(n): turn number n is to be written anew; again(text): an answer is to be said again; copied(words): how a turn was copied */
  constructor(acts) {
    this.#acts = acts;
  }

  /** Show these turns, [{who: "you" or "answer", text}], and no others. */
  show(lines) {
    this.#said.clear();
    this.#box.replaceChildren();
    this.#box.hidden = true;
    for (const { who, text } of lines) this.#add(who).append(make("span", { className: "said", textContent: text }));
    if (this.#box.lastElementChild) this.#reveal(this.#box.lastElementChild);
  }

  /** The turns that are shown, as `show` takes them, with the names of who speaks. */
  get lines() {
    return [...this.#box.children].map((turn) => ({ who: turn.className, name: t(`talk.${turn.className}`), text: query("p", turn).textContent.trim() }));
  }

  /** More of what the user says was understood. */
  write(item, text) {
    const line = this.#lineOf(item);
    line.append(text);
    this.#reveal(line);
  }

  /** All of it was understood: this text, or nothing. */
  complete(item, text) {
    const line = this.#lineOf(item);
    if (text) line.textContent = text.trim();
    else line.parentElement.remove();
    this.#said.delete(item);
    this.#box.hidden = !this.#box.firstChild;
  }

  /** An answer begins. */
  answer = () => new AnswerLine(this.#add("answer"), (word) => this.#reveal(word));

  #lineOf(item) {
    if (!this.#said.has(item)) this.#said.set(item, this.#add("you"));
    return this.#said.get(item);
  }

  /** Add a turn of a side, "you" or "answer"; its paragraph. */
  #add(side) {
    const line = make("p", { dir: "auto" });
    const turn = make("div", { className: side }, make("b", { className: "hidden", textContent: `${t(`talk.${side}`)}: ` }), line);
    // Words of an answer that were not heard leave their spaces, and a dash.
    const text = () => line.textContent.replaceAll(/ +/g, " ").replace(/ —$/, "").trim();
    const own = side === "you";
    const act = (name, words, pressed) => {
      const pressing = button("", pressed, { className: "quiet", ariaLabel: words, title: words });
      pressing.append(query(`.${name}`, this.#icons).cloneNode(true));
      return pressing;
    };
    turn.append(make("div", { className: "turn-acts" },
      act("copies", t("code.copy"), async () => this.#acts.copied(t(`code.${await copied(line, text())}`))),
      own ? act("edits", t("edit"), () => this.#acts.edit([...this.#box.children].indexOf(turn))) : act("says", t("again"), () => this.#acts.again(text()))));
    this.#box.append(turn);
    this.#box.hidden = false;
    this.#reveal(turn);
    return line;
  }

  #reveal(element) {
    const bottom = element.offsetTop + element.offsetHeight + MARGIN;
    const top = element.offsetTop - MARGIN;
    const { scrollTop, clientHeight } = this.#box;
    if (bottom > scrollTop + clientHeight) this.#box.scrollTop = bottom - clientHeight;
    else if (top < scrollTop) this.#box.scrollTop = top;
  }
}

/** The text of an answer comes a few words at a time, each time before the audio that these words begin in. */
class AnswerLine {
  #line;
  #reveal;
  #words = [];
  #waiting = "";
  /** Seconds of audio that have come. */
  #came = 0;
  /** Index of the word that is heard. */
  #current = -1;

  constructor(line, reveal) {
    this.#line = line;
    this.#reveal = reveal;
  }

  /** Take words that begin in the next audio. */
  write = (text) => (this.#waiting += text);

  /** Take the length of the next audio, in seconds: the words that begin in it share it by their lengths. */
  audio(seconds) {
    const words = this.#waiting.match(/\s*\S+/gu) ?? [];
    const letters = words.join("").length;
    // A space at the end is the next word's.
    this.#waiting = this.#waiting.slice(letters);
    let before = 0;
    for (const text of words) {
      this.#append(text, this.#came + (seconds * before) / letters);
      before += text.length;
    }
    this.#came += seconds;
  }

  /** Add a word that begins at a second; a mark right after a word is its own. Marks of Markdown are not shown. */
  #append(marked, from) {
    const text = marked.replace(ITEM, "•").replace(LINK, "$1").replaceAll(MARKUP, "");
    if (!text.trim()) return this.#line.append(text);
    const last = this.#words.at(-1)?.word;
    if (last && MARK.test(text)) return last.append(text);
    const word = make("span", { textContent: text.trimStart() });
    this.#line.append(text.slice(0, text.length - word.textContent.length), word);
    this.#words.push({ word, from });
  }

  /** Light the word that is heard at a second of the audio; those before it have been heard. */
  show(position) {
    const before = this.#current;
    while (position > 0 && this.#words[this.#current + 1]?.from <= position) this.#current++;
    if (before === this.#current) return;
    for (let n = Math.max(0, before); n < this.#current; n++) this.#words[n].word.className = "said";
    const { word } = this.#words[this.#current];
    word.className = "said now";
    this.#reveal(word);
  }

  /** It was heard to its end. */
  end() {
    for (const { word } of this.#words) word.className = "said";
  }

  /** It was heard until a second only: the words after that are taken away. */
  cut(position) {
    this.show(position);
    if (this.#current < 0) return this.#line.parentElement.remove();
    for (const { word } of this.#words.splice(this.#current + 1)) word.remove();
    this.end();
    this.#line.append(make("span", { textContent: " —" }));
  }
}
