/** The chapters of a book: the text of the one that is chosen is spoken next. */

import { make } from "./element.js";
import { addTexts, t } from "./i18n.js";
import { ServerError } from "./server.js";
import { texts } from "./texts-features.js";

/** As the server has it: a larger file need not be sent. */
const MOST_MEBIBYTES = 64;
const BYTES_OF_ONE = 2 ** 20;

export class BookChapters {
  #server;
  #box;
  #acts;
  /** The latest file: an answer for an earlier one comes too late. */
  #file = null;

  /**
   * @param {import("./server.js").Server} server
   * @param {HTMLElement} box that is filled, and hidden without a book
   * @param {Record<string, any>} acts use(text): take it as the text to speak; complain(words), "" for none; closed(): the user is done
   */
  constructor(server, box, acts) {
    addTexts(texts);
    this.#server = server;
    this.#box = box;
    this.#acts = acts;
  }

  /** Show the chapters of a file, and take the first. */
  async open(file) {
    this.#file = file;
    this.#acts.complain("");
    if (file.size > MOST_MEBIBYTES * BYTES_OF_ONE) {
      this.#acts.complain(t("reason.too_large", { mebibytes: MOST_MEBIBYTES }));
      return;
    }
    this.#show(make("p", { className: "note", role: "status", textContent: t("spoken.asking") }));
    try {
      const book = await this.#server.readBook(file);
      if (this.#file === file) this.#offer(book);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (this.#file !== file) return;
      this.#show();
      this.#acts.complain(error.words);
    }
  }

  #offer({ title, chapters }) {
    const choices = chapters.map((chapter, at) => new Option(`${at + 1}. ${chapter.title}`, at));
    const select = make("select", { id: "chapter" }, ...choices);
    const label = make("label", { htmlFor: select.id, textContent: t("book.chapters", { title }) });
    const close = make("button", { type: "button", className: "quiet", textContent: t("book.close") });
    const choose = () => {
      this.#acts.use(chapters[select.value].text);
      // The next arrow key chooses the next chapter.
      select.focus({ preventScroll: true });
    };
    select.addEventListener("change", choose);
    close.addEventListener("click", () => {
      this.#show();
      this.#acts.closed();
    });
    this.#show(make("div", { className: "field" }, label, select), close);
    choose();
  }

  /** Fill the box; without elements it is hidden. */
  #show(...elements) {
    this.#box.replaceChildren(...elements);
    this.#box.hidden = elements.length === 0;
  }
}
