/** A book that is read: its cover and chapters, the place in it, and the audiobook that is made of it. */

import { compose } from "./compose.js";
import { button, find, make, query, tell } from "./element.js";
import { complain, expected } from "./failures.js";
import { history } from "./history.js";
import { clock, percent, t } from "./i18n.js";
import { playback } from "./playback.js";
import { quiet } from "./player.js";
import { inWords, server, ServerError } from "./server.js";
import { Draft, Memory } from "./storage.js";
import { sentenceAt } from "./subtitles.js";
import { offerUndo } from "./toast.js";
import { saveFile } from "./wav.js";
import "./texts-book.js";

/** As the server has it: a larger file need not be sent. */
const MOST_MEBIBYTES = 64;
const PLACE_EVERY_MS = 500;
/** Places of books that are remembered. */
const MOST_PLACES = 50;
/** Share of the work that is speaking; the rest writes the file. */
const SPEAKING = 0.9;
/** Pixels of a cover's height, of a screen with two for one. */
const COVER_HEIGHT = 232;

export class Book {
  #box = find("book-open");
  /** The latest file: an answer for an earlier one comes too late. */
  #file = null;
  /** The book that is open, as the history keeps it, and the chapter that is read. */
  #book = null;
  #at = 0;
  #view = null;
  /** The id of the book that is open, and the text that was there before it. */
  #open = new Draft("kani.book");
  /** How this tab has its audiobook made, as JSON, "" if it has none made. */
  #makes = new Memory("kani.making", () => sessionStorage);
  #places = new Memory("kani.places", () => localStorage);
  #making = null;

  constructor() {
    find("text").addEventListener("input", () => this.#nameSpeaking());
    setInterval(() => this.keepHeard(), PLACE_EVERY_MS);
  }

  /** Read a file, and show the book. */
  async read(file) {
    this.#file = file;
    complain("");
    if (file.size > MOST_MEBIBYTES * 2 ** 20) return complain(t("reason.too_large", { mebibytes: MOST_MEBIBYTES }));
    if (!this.#book) this.#fill(make("p", { className: "note", role: "status", textContent: "…" }));
    const read = await server.readBook(file).catch(inWords((words) => {
      if (this.#file !== file) return;
      if (!this.#book) this.#fill();
      complain(words);
    }));
    if (!read || this.#file !== file) return;
    const entry = { ...read, kind: "book", id: `book:${file.name}:${file.size}`, time: Date.now(), file };
    this.show(entry);
    await history.add(entry);
  }

  /** Show the book that this tab had open before a reload, and go on with its audiobook. */
  async reopen() {
    const { id } = this.#open.object;
    const entry = id && (await history.find(id));
    if (!entry || this.#book) return;
    this.show(entry, true);
    if (this.#makes.text && entry.file) this.#make(this.#makes.object);
  }

  /** Show a book where it was left; again: the text that is there may be its own. */
  show(entry, again = false) {
    if (this.#book && this.#makes.text) this.#leave();
    const typed = this.#book || again ? this.#open.object.typed : compose.choice.text;
    this.#book = entry;
    this.#open.object = { id: entry.id, typed };
    if (!again) this.#makes.text = "";
    const [at, from] = this.#place;
    // The ring of the focus is for who uses the keyboard; a text always has it.
    const focusVisible = document.activeElement.matches("button:focus-visible");
    this.#view = view(entry, {
      select: () => this.#use(Number(this.#view.select.value)),
      previous: () => this.#use(this.#at - 1),
      next: () => this.#use(this.#at + 1),
      restart: () => this.#use(this.#at),
      close: () => this.#close(),
      make: () => this.#make(),
      cancel: () => this.#making?.abort(),
    });
    this.#fill(this.#view.whole);
    this.#use(Math.min(at, entry.chapters.length - 1), from, false, again);
    if (!again) this.#view.select.focus({ focusVisible });
  }

  /** The text of the chapter. */
  get #text() {
    return this.#book.chapters[this.#at].text.trim();
  }

  /** The chapter that was heard last, and its character that a sentence begins at. */
  get #place() {
    return this.#places.object[this.#book.id] ?? [0, 0];
  }

  /** Return whether a text is that of the chapter; before: what of it was spoken earlier. */
  #reads = ({ text, before = "" }) => this.#book !== null && before + text === this.#text;

  /** The part of the form's text that is spoken, if it is the chapter: from the place on; with the names of book and chapter. */
  get next() {
    this.keepHeard();
    if (!this.#reads(compose.choice)) return {};
    const [at, from] = this.#place;
    const text = this.#text.slice(at === this.#at ? from : 0).trimStart();
    const { title, chapters } = this.#book;
    return { text, before: this.#text.slice(0, -text.length), chapter: `${title} · ${chapters[this.#at].title || this.#at + 1}` };
  }

  /** True while the chapter is heard, or rests. */
  #sounds = () => playback.busy && this.#reads(playback.shown.choice);

  /** True while the chapter rests: a voice that is tried then waits. */
  rests = () => this.#sounds() && playback.player.paused && this.#reads(compose.choice);

  /** True if the chapter sounds otherwise than is chosen now. */
  differs() {
    const { text, ...manner } = compose.choice;
    return this.#sounds() && this.#reads({ text }) && Object.keys(manner).some((name) => manner[name] !== playback.shown.choice[name]);
  }

  /** Keep the beginning of the sentence that is heard. */
  keepHeard() {
    if (!this.#sounds() || playback.place < 0) return;
    const { text, before = "" } = playback.shown.choice;
    this.#keepSentence(before.length + [...text].slice(0, playback.place).join("").length);
  }

  /** Keep the beginning of the sentence that holds a character of the chapter. */
  #keepSentence(place) {
    this.#keepPlace(sentenceAt(this.#text, Math.min(place, this.#text.length - 1)));
  }

  /** A text was heard to its end: the next chapter follows. A book that was read to its end begins anew. */
  heard({ choice, stopped }) {
    if (stopped || !this.#reads(choice)) return;
    if (this.#at + 1 < this.#book.chapters.length) this.#use(this.#at + 1, 0, true);
    else this.#keepPlace(0, 0);
  }

  /** Read aloud from the sentence on that holds a character of what is shown; return false if that is not the chapter, or its audio came and will do. */
  readFrom(place, came) {
    if (came && !this.differs()) return false;
    if (!this.#reads(compose.choice) || find("words").textContent !== this.#text) return false;
    quiet();
    this.#keepSentence(place);
    compose.speak(false);
    return true;
  }

  /** Go to a chapter, and read it aloud if the one before it was; again: after a reload. */
  #use(at, from = 0, aloud = playback.busy, again = false) {
    const focused = /** @type {HTMLElement} */ (document.activeElement);
    const focusVisible = focused.matches(":focus-visible");
    const { select, previous, next } = this.#view;
    quiet();
    this.#at = at;
    select.value = String(at);
    previous.disabled = at === 0;
    next.disabled = at + 1 === this.#book.chapters.length;
    this.#keepPlace(from);
    // A text that was typed over the chapter stays.
    if (again && !this.#text.includes(compose.choice.text)) return;
    compose.give(this.#text);
    // The next arrow key chooses the next chapter.
    find("text").blur();
    focused.focus({ preventScroll: true, focusVisible });
    if (aloud) compose.speak(false);
    else playback.stage.offer({ ...compose.choice, ...this.next });
  }

  /** Have the button that speaks say whether it goes on from a place within the chapter. */
  #nameSpeaking() {
    const within = this.#book && this.#reads(compose.choice) && this.#place[1] > 0;
    tell(query("#speak span"), t(within ? "book.continue" : "speak"));
  }

  /** Remember a place. */
  #keepPlace(from, at = this.#at) {
    const { id } = this.#book;
    const others = Object.entries(this.#places.object).filter(([other]) => other !== id);
    this.#places.text = JSON.stringify(Object.fromEntries([...others, [id, [at, from]]].slice(-MOST_PLACES)));
    this.#view.restart.disabled = from === 0;
    this.#nameSpeaking();
  }

  /** Close the book: what was there before it comes back, if nothing else was typed meanwhile. */
  #close() {
    this.#leave();
    if (find("words").textContent === this.#text) {
      quiet();
      playback.stage.hide();
    }
    if (this.#reads(compose.choice)) compose.give(this.#open.object.typed);
    this.#book = null;
    this.#open.object = {};
    this.#fill();
    find("text").focus();
  }

  /** Make room, and stop making the audiobook: the book can be brought back, and what was done with it goes on. */
  #leave() {
    const [book, manner, aloud] = [this.#book, this.#makes.text && this.#makes.object, this.#sounds() && !this.rests()];
    this.#making?.abort();
    offerUndo(`${t("book.closed")} ${manner && t("book.cut")}`.trim(), () => {
      this.show(book);
      if (manner) this.#make(manner);
      if (aloud) compose.speak(false);
    }, "chapter");
  }

  /** Have the audiobook made and saved; after a reload, and after it was stopped, it goes on where it was. */
  async #make(given = null) {
    const { file, title } = this.#book;
    const { maker, cancel, bar, state } = this.#view;
    if (!file) return (state.textContent = t("book.gone"));
    const making = (this.#making = new AbortController());
    const { voice, language, emotion, speed } = compose.choice;
    const manner = given ?? { ...(voice && { voice }), ...(language && { language }), ...(emotion !== "neutral" && { emotion }), ...(speed !== 1 && { speed }) };
    this.#makes.text = JSON.stringify(manner);
    const busy = (is) => {
      maker.disabled = is;
      cancel.hidden = bar.hidden = !is;
    };
    busy(true);
    bar.removeAttribute("value");
    tell(state, t("book.begins"));
    let [share, kept, lost, first] = [0, 0, false, null];
    try {
      for await (const event of server.audiobook(file, manner, making.signal)) {
        if (event.stage === "done") {
          saveFile(await server.audiobookFile(event.id), `${title.replaceAll(/[/\\:]/g, "-")}.m4b`);
          tell(state, t("book.made"));
        } else if (event.stage) {
          [share, kept] = [event.share, event.kept].map((part) => (event.stage === "speaking" ? SPEAKING * part : SPEAKING + (1 - SPEAKING) * part));
          bar.value = share;
          first ??= { share, at: performance.now() };
          const time = ((performance.now() - first.at) / 1000) * ((1 - share) / (share - first.share));
          tell(state, t(Number.isFinite(time) ? "book.left" : "book.making", { percent: percent(share), time: clock(time) }));
        }
      }
    } catch (error) {
      if (!making.signal.aborted && !(error instanceof ServerError)) throw error;
      tell(state, share ? t("book.stopped", { percent: percent(kept) }) : "");
      if (error instanceof ServerError) complain(error.words);
      // A page that is loaded anew loses the server, too, and goes on then.
      lost = error instanceof ServerError && error.kind === "offline";
    } finally {
      // Another may have been begun.
      if (this.#making === making) this.#makes.text = lost ? JSON.stringify(manner) : "";
      const focused = document.activeElement === cancel;
      busy(false);
      if (focused) maker.focus();
    }
  }

  /** Fill the box; without elements it is hidden. */
  #fill(...elements) {
    this.#box.replaceChildren(...elements);
    this.#box.hidden = elements.length === 0;
  }
}

/** The elements of a book, by their names; acts: what those do that are used. */
function view({ title, author, chapters, cover }, acts) {
  const named = (name, words = t(`book.${name}`)) => button(words, acts[name], { className: "quiet", ariaLabel: t(`book.${name}`), title: t(`book.${name}`) });
  const options = chapters.map((chapter, at) => new Option(`${at + 1}. ${chapter.title}`, String(at)));
  const select = make("select", { id: "chapter", onchange: acts.select }, ...options);
  const label = make("label", { className: "hidden", htmlFor: select.id, textContent: t("book.chapters", { title }) });
  const [previous, next, restart, close, maker] = [named("previous", "‹"), named("next", "›"), named("restart", "↺"), named("close", "×"), named("make")];
  const cancel = button(t("kept.cancel"), acts.cancel, { className: "quiet", hidden: true });
  const bar = make("progress", { max: 1, hidden: true, ariaLabel: t("book.make") });
  const state = make("p", { className: "note", role: "status" });
  const picture = cover ? make("canvas", { className: "cover", ariaHidden: "true" }) : make("div", { className: "cover", ariaHidden: "true", textContent: [...title][0] ?? "" });
  if (cover) draw(picture, cover);
  const whole = make("div", { className: "book-open" }, picture,
    make("h3", {}, make("bdi", {}, title)), make("p", { className: "note author" }, make("bdi", {}, author)), close,
    make("div", { className: "chapter-row" }, previous, label, select, next, restart),
    make("div", { className: "actions" }, maker, bar, cancel, state));
  return { whole, select, previous, next, restart, close, maker, cancel, bar, state };
}

/** Draw a cover on a canvas, which no policy of the page forbids; one that cannot be decoded is not shown. */
async function draw(canvas, { type, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], { type })).catch(expected([DOMException], () => null));
  if (!picture) return (canvas.hidden = true);
  canvas.height = COVER_HEIGHT;
  canvas.width = Math.min(2 * COVER_HEIGHT, Math.round((COVER_HEIGHT * picture.width) / picture.height));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
}
