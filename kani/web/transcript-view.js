/** The rows of a transcript: a time and a sentence each. Words are lit, played, found and corrected. */

import { find, make, query, queryAll } from "./element.js";
import { clock, t } from "./i18n.js";
import { unlessRefused } from "./storage.js";
import { copyOf, textOf } from "./transcript.js";
import { follow } from "./words.js";

/** A time that is searched for: 1:30, 1:02:03. */
const TIME = /^(?:(\d+):)?(\d{1,3}):(\d{2})$/;

export class TranscriptView {
  #box = find("transcript");
  #acts;
  #transcript = null;
  /** Elements of the rows, in order. */
  #elements = [];
  /** Every word that is shown, {element, start, end}; null where that is to be looked up. */
  #words = null;
  #editing = false;
  /** List of speakers for the row that is being corrected. */
  #who = make("select", { ariaLabel: t("listen.speaker"), className: "who" });

  /** @param {Record<string, any>} acts play(second); changed(): something was corrected; typed(number, text): of a row, before that; lost(transcript, before, told): something of its rows, in words */
  constructor(acts) {
    const box = this.#box;
    this.#acts = acts;
    box.addEventListener("click", ({ target }) => this.#clicked(target));
    box.addEventListener("keydown", (event) => this.#pressed(event));
    box.addEventListener("focusin", ({ target }) => this.#entered(target));
    box.addEventListener("focusout", ({ target }) => this.#left(target));
    box.addEventListener("input", ({ target }) => {
      const line = /** @type {HTMLElement} */ (target);
      if (line.isContentEditable) acts.typed(this.#elements.indexOf(line.parentElement), line.textContent);
    });
    box.addEventListener("change", ({ target }) => this.#renamed(target));
  }

  /** Show a transcript instead of another; editing: its words and speakers' names can be corrected. */
  show(transcript, editing) {
    this.#transcript = transcript;
    this.#editing = editing;
    // First: a line that is left then is none of these.
    this.#elements = [];
    this.#box.replaceChildren();
    this.refresh();
  }

  /** Show what was added to it since. */
  refresh() {
    const { rows } = this.#transcript;
    const first = Math.max(0, this.#elements.length - 1);
    for (const element of this.#elements.splice(first)) element.remove();
    for (const [n, row] of rows.slice(first).entries()) {
      const turn = row.speaker && row.speaker !== rows[first + n - 1]?.speaker;
      this.#elements.push(this.#row(row, turn));
    }
    this.#box.append(...this.#elements.slice(first));
    this.#box.hidden = rows.length === 0;
    this.#words = null;
    // The keyboard stops at one of the times.
    if (first === 0 && rows.length) query("time", this.#box).tabIndex = 0;
  }

  /** Every word that is shown: {element, start, end}. */
  get words() {
    return (this.#words ??= this.#transcript.rows.flatMap(({ words }, n) => {
      const elements = queryAll("span", this.#elements[n]);
      return words.map(({ start, end }, at) => ({ element: elements[at], start, end }));
    }));
  }

  #row(row, turn) {
    const at = clock(row.words[0].start);
    const line = make("p", {});
    if (this.#editing) {
      Object.assign(line, { role: "textbox", ariaLabel: at, spellcheck: true });
      // Firefox before 136 does not know it.
      unlessRefused(() => (line.contentEditable = "plaintext-only")) ?? (line.contentEditable = "true");
    }
    const name = turn && !this.#editing ? [make("b", { dir: "auto", textContent: `${row.speaker}:` }), " "] : [];
    line.append(...name, ...spans(row));
    const field = turn && this.#editing ? [make("input", { value: row.speaker, ariaLabel: t("listen.speaker"), dir: "auto" })] : [];
    return make("div", { className: "sentence" }, make("time", { textContent: at, role: "button", tabIndex: -1, ariaLabel: `${t("history.play")} ${at}` }), ...field, line);
  }

  /** Light a word, which ends another's light; null for none. */
  light(word) {
    const lit = /** @type {HTMLElement} */ (this.#box.querySelector(".now"));
    if (lit === word) return;
    lit?.classList.remove("now");
    word?.classList.add("now");
    if (word) follow(this.#box, word, lit);
  }

  /** Light the word that was said last at a second: it stays lit in a pause. */
  lightAt = (at) => this.light(this.words.findLast(({ start }) => start <= at)?.element ?? null);

  /** Show the rows that hold some words, or go to a time. Returns the second that the first of them begins at, NaN for none. */
  search(query) {
    const wanted = query.trim().toLocaleLowerCase();
    const [, hours = "0", minutes, seconds] = TIME.exec(wanted) ?? [];
    const { rows } = this.#transcript;
    const at = minutes === undefined ? NaN : 3600 * Number(hours) + 60 * Number(minutes) + Number(seconds);
    const fits = ({ speaker, words }) => `${speaker}: ${textOf({ words })}`.toLocaleLowerCase().includes(wanted);
    for (const [n, element] of this.#elements.entries()) {
      element.hidden = Number.isNaN(at) && !fits(rows[n]);
      this.#mark(n, Number.isNaN(at) ? wanted : "");
    }
    const first = Number.isNaN(at) ? rows.findIndex(fits) : rows.findLastIndex(({ words }) => words[0].start <= at);
    if (first < 0) return NaN;
    if (wanted) this.#elements[first].scrollIntoView({ block: "nearest" });
    return rows[first].words[0].start;
  }

  /** Mark the words of a row that hold some of what is searched: those that are there, which a browser may divide where they are typed. */
  #mark(n, wanted) {
    const { textContent, childNodes } = query("p", this.#elements[n]);
    const text = textContent.toLocaleLowerCase();
    let end = 0;
    for (const node of childNodes) {
      const from = Math.max(0, end - wanted.length + 1);
      end += node.textContent.length;
      if (node instanceof Element) node.classList.toggle("found", wanted !== "" && text.slice(from, end + wanted.length - 1).includes(wanted));
    }
  }

  /** Play from a word on, or from the first one of a row beside its text. */
  #clicked(target) {
    const row = this.#elements.indexOf(target.localName === "time" ? target.parentElement : target);
    const word = row < 0 ? this.words.find(({ element }) => element === target) : this.#transcript.rows[row].words[0];
    if (!word || !window.getSelection().isCollapsed || (this.#editing && row < 0)) return;
    this.#acts.play(word.start);
  }

  #pressed(event) {
    const { key, target } = event;
    const n = this.#elements.indexOf(target.parentElement);
    if (event.isComposing || n < 0) return;
    const act = target.localName === "time" ? this.#onTime(key, n) : target.isContentEditable && this.#onLine(key, n);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** The act of a key on the time of a row: it is played, or another one reached. */
  #onTime(key, n) {
    if (key === "Enter" || key === " ") return () => this.#clicked(this.#elements[n]);
    const next = { ArrowDown: this.#elements.slice(n + 1), ArrowUp: this.#elements.slice(0, n).reverse() }[key]?.find(({ hidden }) => !hidden);
    return next && (() => {
      const [time, other] = [this.#elements[n], next].map((element) => query("time", element));
      time.tabIndex = -1;
      other.tabIndex = 0;
      other.focus();
    });
  }

  /** The act of a key in the text of a row: Enter divides it, and at its end leads to the next one; Backspace at its start joins it to the one before. */
  #onLine(key, n) {
    const line = query("[contenteditable]", this.#elements[n]);
    const [before, after] = sidesOf(line);
    if (key === "Backspace" && before === "" && n > 0 && window.getSelection().isCollapsed) return () => this.#change(n, (row) => {
      const { length } = textOf(this.#transcript.rows[n - 1]);
      return [this.#transcript.join(row), length];
    });
    if (key !== "Enter") return null;
    if (before.trim() && after.trim()) return () => this.#change(n, (row) => [this.#transcript.split(row, before.length) ?? row, 0]);
    const next = this.#elements[n + 1];
    return () => (next ? query("[contenteditable]", next).focus() : line.blur());
  }

  /** Change the rows by one of them, as it is written now; act(row) returns the one where the cursor goes, and the character of it. An emptied one is left, which takes it out. */
  #change(n, act) {
    const row = this.#transcript.rows[n];
    const { textContent } = query("[contenteditable]", this.#elements[n]);
    if (!textContent.trim()) return query("[contenteditable]", this.#elements[n - 1]).focus();
    if (textContent.trim() !== textOf(row)) this.#transcript.correct(row, textContent);
    const [reached, at] = act(row);
    this.#redraw();
    const line = query("[contenteditable]", this.#elements[this.#transcript.rows.indexOf(reached)]);
    line.focus();
    const texts = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
    let left = at;
    while (texts.nextNode() && left > texts.currentNode.textContent.length) left -= texts.currentNode.textContent.length;
    window.getSelection().collapse(texts.currentNode, left);
  }

  /** Show changed rows, and keep them. */
  #redraw() {
    const { scrollTop } = this.#box;
    this.show(this.#transcript, this.#editing);
    this.#box.scrollTop = scrollTop;
    this.#acts.changed();
  }

  /** Offer the speakers in the row that is reached. */
  #entered(target) {
    const row = this.#transcript?.rows[this.#elements.indexOf(target.parentElement)];
    if (!this.#editing || !row || target === this.#who) return;
    const { speakers } = this.#transcript;
    const next = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".split("").find((letter) => !speakers.includes(letter)) ?? "";
    const choices = [...(row.speaker ? [] : [["", "–"]]), ...speakers.map((name) => [name, name]), [next, t("listen.other", { name: next })]];
    this.#who.replaceChildren(...choices.map(([value, text]) => new Option(text, value, false, value === row.speaker)));
    if (this.#who.parentElement !== target.parentElement) target.parentElement.append(this.#who);
  }

  /** A row was left: what it says now is what was said. */
  #left(line) {
    const n = this.#elements.indexOf(line.parentElement);
    const row = this.#transcript.rows[n];
    if (!line.isContentEditable || !row || line.textContent.trim() === textOf(row)) return;
    const before = copyOf(this.#transcript.rows);
    this.#transcript.correct(row, line.textContent);
    this.#words = null;
    line.replaceChildren(...spans(row));
    if (row.words.length === 0) {
      this.#elements.splice(n, 1)[0].remove();
      this.#acts.lost(this.#transcript, before, t("history.gone"));
    }
    this.#acts.changed();
  }

  #renamed(field) {
    if (field === this.#who) {
      this.#transcript.give(this.#transcript.rows[this.#elements.indexOf(field.parentElement)], field.value);
      return this.#redraw();
    }
    if (field.localName !== "input") return;
    const row = this.#transcript.rows[this.#elements.indexOf(field.parentElement)];
    const before = row.speaker;
    const after = (field.value = field.value.trim() || before);
    const { rows } = this.#transcript;
    const merges = after !== before && rows.some(({ speaker }) => speaker === after);
    if (merges) this.#acts.lost(this.#transcript, copyOf(rows), t("listen.merged", { name: after }));
    for (const other of queryAll("input", this.#box)) if (other.value === before) other.value = after;
    this.#transcript.rename(before, after);
    this.#acts.changed();
  }
}

/** The words of a row as elements, with the spaces between them. */
const spans = ({ words }) => words.flatMap(({ text, glued }, n) => [...(glued || n === 0 ? [] : [" "]), make("span", { textContent: text })]);

/** The text of a line before the cursor, and after it. */
function sidesOf(line) {
  const selected = window.getSelection().getRangeAt(0);
  const range = new Range();
  range.setStart(line, 0);
  range.setEnd(selected.startContainer, selected.startOffset);
  const before = range.toString();
  return [before, line.textContent.slice(before.length + selected.toString().length)];
}
