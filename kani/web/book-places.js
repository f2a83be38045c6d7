/** Places of a book: what a search finds in it, and bookmarks with their notes, which this browser keeps. */

import { button, find, make, tell } from "./element.js";
import { keepNotes, notesOf } from "./history.js";
import { number, percent, t } from "./i18n.js";
import { sentenceAt } from "./sentences.js";
import { saveFile } from "./wav.js";

/** Places of a search that are shown at once, and those that are looked for; and so much of the text before and after each. */
const [SHOWN, MOST_FOUND] = [60, 20_000];
const [BEFORE, AFTER] = [30, 70];
/** Bookmarks of a book, and characters of what is quoted and of a note. */
const [MOST_MARKS, LONGEST_WORDS, LONGEST_NOTE] = [500, 160, 2000];

export class BookPlaces {
  /** The book; the places that were found in it: chapter, character, length. */
  #book = null;
  #found = [];
  #go;
  #place;

  /** @param {(at: number, from: number) => void} go to a character of a chapter @param {() => number[]} place chapter and character of the sentence that is heard */
  constructor(go, place) {
    this.#go = go;
    this.#place = place;
    find("book-search").addEventListener("input", () => this.#search());
    // More is shown to who comes near the end.
    const found = find("book-found");
    for (const kind of ["scroll", "focusin"]) found.addEventListener(kind, () => (document.activeElement === found.lastChild || found.scrollTop + 2 * found.clientHeight > found.scrollHeight) && this.#showMore());
    find("book-mark").addEventListener("click", () => this.#mark());
    find("book-show-notes").addEventListener("click", () => this.#show());
    find("book-notes-save").addEventListener("click", () => this.#save());
  }

  /** Take another book. */
  open(book) {
    this.#book = book;
    find("book-search").value = "";
    this.#search();
  }

  /** The bookmarks in the order of the book. */
  get #marks() {
    const marks = notesOf(this.#book.id).object.marks ?? [];
    return marks.filter(({ at }) => this.#book.chapters[at]).sort((one, other) => one.at - other.at || one.from - other.from);
  }

  /** The name of a place: its chapter, and how far in that it is. */
  #nameOf({ at, from }) {
    const { title, text } = this.#book.chapters[at];
    return `${title || number(at + 1)} · ${percent(from / Math.max(1, text.length))}`;
  }

  /** Find all places that hold what is searched, however its words are spaced. */
  #search() {
    const wanted = find("book-search").value.trim().replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`).replaceAll(/\s+/g, String.raw`\s+`);
    this.#found = [];
    for (const [n, { text }] of wanted ? this.#book.chapters.entries() : []) {
      for (const { index, 0: { length } } of text.matchAll(new RegExp(wanted, "giu"))) if (this.#found.length < MOST_FOUND) this.#found.push([n, index, length]);
    }
    const n = number(this.#found.length);
    tell(find("book-none"), wanted ? t(this.#found.length ? "book.found" : "book.none", { n: this.#found.length < MOST_FOUND ? n : `${n}+` }) : "");
    find("book-found").replaceChildren();
    this.#showMore();
  }

  #showMore() {
    const list = find("book-found");
    const begin = list.childElementCount;
    for (const [n, at, length] of this.#found.slice(begin, begin + SHOWN)) {
      const { text } = this.#book.chapters[n];
      const shown = button(`${number(n + 1)} · …${text.slice(Math.max(0, at - BEFORE), at).replace(/^\S*\s/u, "")}`, () => this.#go(n, sentenceAt(text, at)), { className: "quiet", dir: "auto" });
      shown.append(make("mark", { textContent: text.slice(at, at + length) }), `${text.slice(at + length, at + AFTER).replace(/\s\S*$/u, "")}…`);
      list.append(shown);
    }
  }

  /** Keep the sentence that is heard, and ask for a note on it. */
  #mark() {
    const [at, from] = this.#place();
    const { text } = this.#book.chapters[at];
    const [line] = text.slice(from).split("\n", 1);
    const words = line.length > LONGEST_WORDS ? `${line.slice(0, LONGEST_WORDS).replace(/\s\S*$/u, "")}…` : line;
    const isHere = (mark) => mark.at === at && mark.from === from;
    const { marks: all = [] } = notesOf(this.#book.id).object;
    if (!all.some(isHere) && all.length >= MOST_MARKS) return this.#show(isHere, t("book.full", { limit: number(MOST_MARKS) }));
    this.#show(isHere, this.#keep((marks) => marks.some(isHere) ? marks : [...marks, { at, from, words, note: "" }]));
  }

  /** Change the bookmarks that are kept; returns what is to be told of that, "" for nothing. */
  #keep = (change) => (keepNotes(this.#book.id, ({ marks = [] }) => ({ marks: change(marks) })) ? "" : t("history.nowhere"));

  /** Show the bookmarks, and write the note of one; told: what is said below them. */
  #show(isNew = (mark) => mark === undefined, told = "") {
    const marks = this.#marks;
    find("book-marks").replaceChildren(...marks.map((mark) => this.#item(mark)));
    tell(find("book-marks-told"), told || (marks.length ? "" : t("book.no_marks")));
    find("book-notes-save").hidden = marks.length === 0;
    find("book-notes").showModal();
    find("book-marks").children[marks.findIndex(isNew)]?.querySelector("textarea").focus();
  }

  #item(mark) {
    const change = (changed) => tell(find("book-marks-told"), this.#keep((marks) => [...marks.filter(({ at, from }) => at !== mark.at || from !== mark.from), ...changed]));
    const go = button(this.#nameOf(mark), () => {
      find("book-notes").close();
      this.#go(mark.at, mark.from);
    }, { className: "quiet" });
    const words = make("q", { textContent: mark.words, dir: "auto" });
    const note = make("textarea", { value: mark.note, rows: 2, dir: "auto", maxLength: LONGEST_NOTE, ariaLabel: `${t("book.note")}: ${this.#nameOf(mark)}`, placeholder: t("book.note") });
    note.addEventListener("input", () => change([Object.assign(mark, { note: note.value })]));
    // Under a dialog no line can bring it back.
    const named = (action) => ({ textContent: action, ariaLabel: t("history.of", { action, text: mark.words }) });
    const remove = button("", () => {
      note.disabled = go.disabled = !note.disabled;
      change(note.disabled ? [] : [mark]);
      Object.assign(remove, named(t(note.disabled ? "undo" : "history.delete")));
    }, { className: "quiet", ...named(t("history.delete")) });
    return make("li", {}, go, remove, words, note);
  }

  /** Save the bookmarks as a text. */
  #save() {
    const { title, author } = this.#book;
    const rows = this.#marks.map((mark) => [this.#nameOf(mark), `“${mark.words}”`, mark.note].filter(Boolean).join("\n"));
    saveFile(new Blob([`${[[title, author].filter(Boolean).join(", "), ...rows].join("\n\n")}\n`], { type: "text/plain" }), `${title.replaceAll(/[/\\:]/g, "-")}.txt`);
  }
}
