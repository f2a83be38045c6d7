/** A book that is read: its cover and chapters, the place in it, and the audiobook that is made of it. */

import { BookCast } from "./book-cast.js";
import { BookPlaces } from "./book-places.js";
import { compose } from "./compose.js";
import { find, make, style, tell } from "./element.js";
import { complain } from "./failures.js";
import { charactersOf, coverOf, history, keepPlace, places, shareRead } from "./history.js";
import { clock, locale, number, percent, t, translate } from "./i18n.js";
import { playback } from "./playback.js";
import { inWords, server, ServerError } from "./server.js";
import { Draft, Memory, remember } from "./storage.js";
import { tellShown } from "./navigation.js";
import { sleepNoMore } from "./sleep.js";
import { offerUndo } from "./toast.js";
import { fill } from "./voices.js";
import { saveFile } from "./wav.js";
import "./texts-book.js";

/** As the server has it: a larger file need not be sent. */
const MOST_MEBIBYTES = 64;
const PLACE_EVERY_MS = 500;
/** Share of the work that is speaking; the rest writes the file. And seconds, and a share, of work that tell how long it takes. */
const SPEAKING = 0.9;
const [TELLING_S, TELLING] = [5, 0.01];

await style("book.css");

export class Book {
  #box = find("book-open");
  /** The latest file: an answer for an earlier one comes too late. */
  #file = null;
  /** The book that is open, as the history keeps it, and the chapter that is read. */
  #book = null;
  #at = 0;
  /** The id of the book that is open, and the text that was there before it. */
  #open = new Draft("kani.book");
  /** The audiobook that is made: {book, manner, stop: an AbortController}, null for none; and id and manner of that, for a reload. */
  #making = null;
  #makes = new Memory("kani.making", () => sessionStorage);
  #places = new BookPlaces((at, from) => this.#jump(t("book.jumped"), at, from), () => {
    this.keepHeard();
    return [this.#at, this.#from];
  });
  #cast = new BookCast(() => this.#at, () => {
    if (!this.reads(playback.shown?.choice ?? {})) return;
    const aloud = this.#isHeard();
    this.keepHeard();
    playback.stop();
    if (this.reads(compose.choice)) this.#begin(aloud);
  });
  /** Ends that the book that was closed can be brought back. */
  #closed = () => {};

  constructor() {
    translate(this.#box);
    const pressing = (name, act) => find(`book-${name}`).addEventListener("click", act);
    pressing("previous", () => this.turn(-1));
    pressing("next", () => this.turn(1));
    pressing("restart", () => this.#jump(t("book.restart"), this.#at, 0));
    pressing("edit", () => playback.stage.turn());
    pressing("close", () => this.#close());
    // A phone's Back would leave the page. The link that skips to the text goes nowhere.
    window.addEventListener("popstate", () => this.#book && !window.history.state && window.location.hash !== "#text" && this.#close());
    pressing("other", () => find("book-file").showPicker());
    pressing("make", () => this.#make());
    pressing("cancel", () => this.#making.stop.abort());
    find("chapter").addEventListener("change", () => this.#use(Number(find("chapter").value)));
    find("book-menu").addEventListener("toggle", async () => {
      const books = (await history.list()).filter(({ kind }) => kind === "book");
      fill(find("book-shelf"), [["", books.map((book) => [book.id, `${book.title} · ${percent(shareRead(book))}`])]], this.#book?.id);
    });
    find("book-shelf").addEventListener("change", async () => this.show(await history.find(find("book-shelf").value)));
    find("book-cover").addEventListener("error", () => (find("book-cover").hidden = true));
    // Something else is heard meanwhile.
    find("compose").addEventListener("submit", () => this.#closed());
    playback.stage.rich = (text) => (this.#book && text === this.#text ? richOf(this.#book, this.#at) : {});
    remember(find("book-size"), "kani.text-size", (size) => {
      document.documentElement.style.setProperty("--size", size);
      playback.stage.follow();
    });
    for (const name of ["face", "space", "page"]) remember(find(`book-${name}`), `kani.text-${name}`, (value) => {
      document.documentElement.dataset[name] = value;
      playback.stage.follow();
    });
    setInterval(() => this.#book && this.#tellPlace(), PLACE_EVERY_MS);
  }

  /** Read a file, and show the book. */
  async read(file) {
    this.#file = file;
    complain("");
    if (file.size > MOST_MEBIBYTES * 2 ** 20) return complain(t("reason.too_large", { mebibytes: MOST_MEBIBYTES }));
    playback.stage.say("…");
    const read = await server.readBook(file).catch(inWords((words) => this.#file === file && complain(words)));
    if (this.#file === file) playback.stage.say("");
    if (!read || this.#file !== file) return;
    const bytesOf = (signs) => new Uint8Array(signs.length).map((_, n) => signs.charCodeAt(n));
    const images = (read.images ?? []).map(({ type, data }) => new Blob([bytesOf(atob(data))], { type }));
    const entry = { ...read, images, kind: "book", id: `book:${file.name}:${file.size}`, time: Date.now(), file };
    this.show(entry);
    const what = Object.entries(read.left_out ?? {}).map(([kind, n]) => t(`book.${kind}`, { n: number(n) })).join(", ");
    tell(find("book-state"), what && t("book.left_out", { what }));
    await history.add(entry);
  }

  /** Show the book that this tab had open before a reload, and go on with its audiobook. */
  async reopen() {
    const { id, typed } = this.#open.object;
    const entry = await history.find(id);
    if (!entry && !compose.choice.text) compose.give(typed);
    if (!entry || this.#book) return;
    this.show(entry, true);
    const made = this.#makes.text && (await history.find(this.#makes.object.id));
    if (made?.file) this.#make(made, this.#makes.object.manner);
  }

  /** Show a book where it was left; again: the text that is there may be its own. */
  show(entry, again = false) {
    this.#closed();
    const typed = this.#book || again ? this.#open.object.typed : compose.choice.text;
    if (this.#book) playback.stop(); // Its place is not one of this book.
    this.#book = entry;
    this.#open.object = { id: entry.id, typed };
    if (!window.history.state) window.history.pushState("book", "");
    if (!again) compose.suit(entry.language, this.#place[3]);
    // A book that was read to its end begins anew.
    const [at, from] = !again && shareRead(entry) === 1 ? [entry.start ?? 0, 0] : this.#place;
    // The ring of the focus is for who uses the keyboard; a text always has it.
    const focusVisible = document.activeElement.matches("button:focus-visible");
    const { title, author, chapters, cover } = entry;
    find("book-title").textContent = title;
    find("book-author").textContent = author;
    find("book-letter").textContent = [...title][0] ?? "";
    find("book-chapters").textContent = t("book.chapters", { title });
    find("chapter").replaceChildren(...chapters.map((_, n) => new Option("", String(n))));
    this.#places.open(entry);
    this.#cast.open(entry);
    find("book-cover").hidden = !cover;
    if (cover) find("book-cover").src = coverOf({ cover });
    tell(find("book-state"), "");
    this.#box.hidden = false;
    tellShown();
    this.#use(Math.min(at, chapters.length - 1), from, false, again);
    if (!again) find("chapter").focus({ focusVisible });
  }

  /** Go to a place, from which the one before it can be brought back. */
  #jump(words, at, from) {
    this.keepHeard();
    const [before, place] = this.#place;
    offerUndo(words, () => this.#use(before, place), "chapter");
    this.#use(at, from);
  }

  /** Show whether an audiobook is being made. */
  #works(is) {
    find("book-make").disabled = is;
    find("book-cancel").hidden = find("book-bar").hidden = !is;
    find("book-bar").removeAttribute("value");
  }

  /** The text of the chapter. */
  get #text() {
    return this.#book.chapters[this.#at].text.trim();
  }

  /** The chapter that was heard last, and its character that a sentence begins at; those of other chapters, by their numbers; and the voice. */
  get #place() {
    return places.object[this.#book.id] ?? [this.#book.start ?? 0, 0];
  }

  /** The character of the chapter from which on it is read; one that was read to the end of the book begins anew. */
  get #from() {
    const [, from] = this.#place;
    return from < this.#text.length ? from : 0;
  }

  /** Return whether a text is that of the chapter; before: what of it was spoken earlier. */
  reads = ({ text, before = "" }) => this.#book !== null && before + text === this.#text;

  /** The part of the form's text that is spoken, if it is the chapter: from the place on; with the names of book and chapter. */
  get next() {
    this.keepHeard();
    if (!this.reads(compose.choice)) return {};
    const text = this.#text.slice(this.#from).trimStart();
    const { id, title, chapters } = this.#book;
    return { text, before: this.#text.slice(0, -text.length), book: id, title, chapter: chapters[this.#at].title || String(this.#at + 1) };
  }

  /** The turns of voices in a text, if it is what is left of the chapter. */
  turnsOf = (text) => (this.#book && this.#text.endsWith(text) && this.reads(compose.choice) ? this.#cast.turnsOf(text) : []);

  /** Facts for a lock screen about a chapter that is heard: its name, and the author and cover of the book that is open. */
  told({ book, title, chapter }) {
    const { id, author, cover } = this.#book ?? {};
    const own = book === id && { ...(author && { artist: author }), artwork: cover ? [{ src: coverOf({ cover }), type: cover.type }] : [] };
    return book && { title: chapter, album: title, ...own };
  }

  /** The name of what reads the chapter that is shown, or the book once it was heard to its end; "" if the chapter was. */
  goesOn() {
    const { choice, stopped, lost } = playback.shown ?? { choice: {} };
    if (!this.reads(choice) || !this.reads(compose.choice)) return "";
    if (shareRead(this.#book) === 1) return "again";
    return this.#from > 0 ? "book.continue" : (stopped || lost) && "speak";
  }

  /** Go to the beginning of a book that was read to its end. */
  anew() {
    if (this.goesOn() === "again") this.#use(this.#book.start ?? 0, 0, false);
  }

  /** Keep the beginning of the sentence that is heard. */
  keepHeard() {
    if (!this.#book || !playback.has(this.#text) || playback.place < 0) return;
    // The places that the server finds in a chapter depend on the language that the file tells.
    this.#book.heard ||= playback.shown.result?.language ?? "";
    this.#keepPlace(playback.sentence);
  }

  /** A text was heard to its end: the next chapter follows. */
  heard({ choice, stopped }) {
    if (stopped || !this.reads(choice)) return;
    const sleeps = find("sleep").value === "chapter";
    if (sleeps) sleepNoMore();
    const isLast = this.#at + 1 === this.#book.chapters.length;
    this.#keepPlace(isLast ? this.#book.chapters[this.#at].text.length : 0);
    if (!isLast) this.#use(this.#at + 1, 0, !sleeps);
  }

  /** Read the chapter from a character on, aloud or once that is asked for. */
  readFrom(from, aloud) {
    this.#keepPlace(from);
    this.#begin(aloud);
  }

  /** Something is waited for, or heard. */
  #isHeard = () => playback.busy && !playback.player.paused;

  /** Read the chapter from its place on, aloud or once that is asked for. */
  #begin(aloud) {
    if (aloud) compose.speak(false);
    else playback.offer({ ...compose.choice, ...this.next });
  }

  /** Go to the chapter before or after, if there is one. */
  turn(by) {
    if (this.#book?.chapters[this.#at + by]) this.#use(this.#at + by);
  }

  /** Go to a chapter, where it was left, and read it aloud if the one before it was; again: after a reload. */
  #use(at, from = this.#place[2]?.[at] ?? 0, aloud = this.#isHeard(), again = false) {
    playback.stop();
    this.#at = at;
    // A chapter that was left halfway says so.
    for (const [n, { title, text }] of this.#book.chapters.entries()) {
      const left = n !== at && this.#place[2]?.[n];
      find("chapter").options[n].text = `${/\d/.test(title) ? title : `${n + 1}. ${title}`}${left ? ` · ${percent(left / text.length)}` : ""}`;
    }
    find("chapter").value = String(at);
    find("book-previous").disabled = at === 0;
    find("book-next").disabled = at + 1 === this.#book.chapters.length;
    this.#keepPlace(from);
    // A text that was typed over the chapter stays.
    if (again && !this.#text.includes(compose.choice.text)) return;
    compose.give(this.#text, false, this.#book.language || this.#book.heard, true);
    find("words").classList.toggle("titled", lettersOf(this.#book.chapters[at].title).includes(lettersOf(this.#text.split("\n", 1)[0])));
    this.#begin(aloud);
    this.#tellPlace();
  }

  /** Remember a place. */
  #keepPlace(from) {
    const place = [this.#at, from, { ...this.#place[2], [this.#at]: from || undefined }, compose.chosen()];
    keepPlace(this.#book.id, place);
    find("book-restart").disabled = from === 0;
  }

  /** Keep the place and tell it, here and in the history, and how long the rest takes in the voice and at the speeds that are chosen. */
  #tellPlace() {
    this.keepHeard();
    const { id, chapters } = this.#book;
    const share = shareRead(this.#book);
    const left = ((1 - share) * charactersOf(chapters)) / playback.stage.pace / Number(find("tempo").value);
    tell(find("book-place"), t("book.place", { at: number(this.#at + 1), all: number(chapters.length), percent: percent(share) }));
    tell(find("book-left"), left > 0 ? t("line.left", { time: minutes(left) }) : "");
    const kept = document.getElementById(`place-${id}`);
    if (kept) tell(kept, percent(share));
  }

  /** Close the book, and stop making an audiobook: the book can be brought back, and what was done with it goes on. */
  #close() {
    const [book, making, aloud] = [this.#book, this.#making, playback.has(this.#text) && !playback.player.paused];
    making?.stop.abort();
    this.#closed = offerUndo(`${t("book.closed")} ${making ? t("book.cut") : ""}`.trim(), () => {
      this.show(book);
      if (making) this.#make(making.book, making.manner);
      if (aloud) compose.speak(false);
    }, "chapter");
    if (find("words").textContent === this.#text) {
      playback.stop();
      playback.stage.hide();
    }
    // The text before it comes back, if nothing else was typed meanwhile.
    if (this.reads(compose.choice)) compose.give(this.#open.object.typed);
    for (const id of ["book-cast", "book-notes"]) find(id).close();
    this.#book = null;
    this.#open.object = {};
    this.#box.hidden = true;
    find("text").focus();
    if (window.history.state) window.history.back();
  }

  /** Have an audiobook made and saved, whatever book is open by then; after a reload, and after it was stopped, it goes on where it was. */
  async #make(book = this.#book, given = null) {
    const { file, title, id } = book;
    const says = (words) => tell(find("book-state"), words && this.#book?.id !== id ? `${title} · ${words}` : words);
    if (!file) return says(t("book.gone"));
    const { voice, language, emotion, speed } = compose.choice;
    const manner = given ?? { ...(voice && { voice }), ...(language && { language }), ...(emotion !== "neutral" && { emotion }), ...(speed !== 1 && { speed }) };
    const making = (this.#making = { book, manner, stop: new AbortController() });
    this.#makes.text = JSON.stringify({ id, manner });
    this.#works(true);
    says(t("book.begins"));
    let [share, kept, lost, first] = [0, 0, false, null];
    try {
      for await (const event of server.audiobook(file, manner, making.stop.signal)) {
        if (event.stage === "done") {
          saveFile(await server.audiobookFile(event.id), `${title.replaceAll(/[/\\:]/g, "-")}.m4b`);
          says(t("book.made"));
        } else if (event.stage) {
          [share, kept] = [event.share, event.kept].map((part) => (event.stage === "speaking" ? SPEAKING * part : SPEAKING + (1 - SPEAKING) * part));
          find("book-bar").value = String(share);
          // The pace of what is spoken anew tells how long the rest takes: not that of kept parts, nor the wait for the first word.
          if (event.share > event.kept) first ??= { share, at: performance.now() };
          const passed = first ? (performance.now() - first.at) / 1000 : 0;
          const time = (passed * (1 - share)) / (share - first?.share);
          says(t(passed > Math.max(TELLING_S, TELLING * time) ? "book.left" : "book.making", { percent: percent(share), time: clock(time) }));
        }
      }
    } catch (error) {
      if (!making.stop.signal.aborted && !(error instanceof ServerError)) throw error;
      says(share ? t("book.stopped", { percent: percent(kept) }) : "");
      if (error instanceof ServerError) complain(error.words);
      // A page that is loaded anew loses the server, too, and goes on then.
      lost = error instanceof ServerError && error.kind === "offline";
    } finally {
      // Another one may have been begun.
      if (this.#making === making) {
        this.#making = null;
        if (!lost) this.#makes.text = "";
        const focused = document.activeElement === find("book-cancel");
        this.#works(false);
        if (focused) find("chapter").focus();
      }
    }
  }
}

/** Emphases of a chapter, and its pictures, each with its description below, unless that follows anyway. */
function richOf({ chapters, images = [] }, at) {
  const { text, emphases, pictures = [] } = chapters[at];
  const shown = pictures.filter(({ image }) => images[image]).map(({ at: place, image, description, width, height }) => {
    const src = URL.createObjectURL(images[image]);
    const done = () => URL.revokeObjectURL(src);
    const picture = make("img", { loading: "lazy", src, alt: description, width, height, onload: done, onerror: done });
    picture.style.setProperty("--shape", String(width / height));
    const element = make("span", { className: "picture" }, picture);
    if (!text.startsWith(description, place)) element.dataset.told = description;
    return { at: place, element };
  });
  return { emphases, pictures: shown };
}

/** The letters and digits of a heading, which a table of contents may part in another way. */
const lettersOf = (heading) => heading.replaceAll(/[^\p{L}\p{N}]/gu, "").toLowerCase();

/** A length of time in hours and minutes: "7 hr 12 min". */
function minutes(seconds) {
  const all = Math.max(1, Math.round(seconds / 60));
  const parts = Object.entries({ hour: Math.floor(all / 60), minute: all % 60 });
  return parts.filter(([, n]) => n > 0).map(([unit, n]) => n.toLocaleString(locale, { style: "unit", unit })).join(" ");
}
