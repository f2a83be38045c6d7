/** Files that are transcribed one after the other, and what became of each. */

import { button, find, make } from "./element.js";
import { t } from "./i18n.js";

export class FileQueue {
  #list = find("listen-queue");
  #transcribe;
  #open;
  /** Files since the queue was empty last: {transcript, told: words on it, ended, gone: it is not kept}. */
  #files = [];
  #work = null;

  /** @param {(transcript: import("./transcript.js").Transcript) => Promise<{told: string, gone: boolean}>} transcribe what became of it, in words; gone: it is not kept @param {(transcript: any) => void} open shows one */
  constructor(transcribe, open) {
    this.#transcribe = transcribe;
    this.#open = open;
  }

  /** Transcribe a file after those before it; begins(): before the first one. */
  async add(transcript, begins) {
    if (!this.#work) this.#files = [];
    this.#files.push({ transcript, told: t("listen.waits"), ended: false });
    this.#show();
    if (this.#work) return;
    this.#work = begins();
    await this.#work;
    for (let file; (file = this.#files.find(({ ended }) => !ended)); file.ended = true) {
      file.told = "…";
      this.#show();
      this.#work = this.#transcribe(file.transcript);
      Object.assign(file, await this.#work);
      this.#show();
    }
    this.#work = null;
    this.#show();
  }

  /** End; abort(): what is transcribed, or asked for to be. Returns the transcripts that have not ended; of those that are only about to begin none. */
  async end(abort) {
    const left = this.#work ? this.#files.filter(({ ended }) => !ended) : [];
    for (const file of left.slice(1)) Object.assign(file, { told: t("status.stopped"), ended: true });
    abort();
    await this.#work;
    return left.map(({ transcript }) => transcript);
  }

  /** Show each file and what became of it; one by itself is what the panel shows. While some are worked on, another one is not opened: that would end them. */
  #show() {
    this.#list.hidden = this.#files.length < 2;
    this.#list.replaceChildren(...this.#files.map(({ transcript, told, gone }) => {
      const name = transcript.name || t("listen.recording");
      const link = gone || this.#work ? make("bdi", { textContent: name }) : button(name, () => this.#open(transcript), { className: "quiet", dir: "auto" });
      return make("li", {}, link, make("span", { className: "note", textContent: told }));
    }));
  }
}
