/** The history as a list: play again, use the text, download, delete. */

import { fileName } from "./file-name.js";
import { clock, moment, number, t } from "./i18n.js";
import { offerUndo } from "./toast.js";
import { heardVoice, nameOf } from "./voices.js";
import { saveFile, wavFile } from "./wav.js";
import { direction, withoutMarks, write } from "./words.js";

const EXCERPT = 140;
/** A mark that an excerpt would end within. */
const CUT_MARK = /\[[^\]]*$/;
/** Entries from which on they can be searched. */
const SEARCHED_FROM = 6;

export class HistoryList {
  #list = document.querySelector("#history");
  #search = document.querySelector("#history-search");
  #history;
  #play;
  #reuse;
  #changed;
  #items = new Map();

  /**
   * @param {History} history
   * @param {(entry, pieces: Int16Array[]) => void} play
   * @param {(choice) => void} reuse
   * @param {() => Promise<void>} changed something was deleted: shows the list, here and elsewhere
   */
  constructor(history, play, reuse, changed) {
    this.#changed = changed;
    this.#history = history;
    this.#play = play;
    this.#reuse = reuse;
    document.querySelector("#history-clear").addEventListener("click", async () => this.#delete(await history.list()));
    this.#search.addEventListener("input", () => this.#filter());
  }

  /** Show what is kept now; an entry that is shown already stays as it is, and with it the focus. */
  async show() {
    const entries = await this.#history.list();
    const kept = new Set(entries.map(({ id }) => id));
    for (const [id, item] of this.#items) {
      if (kept.has(id)) continue;
      item.remove();
      this.#items.delete(id);
    }
    for (const entry of entries.slice().reverse()) {
      if (this.#items.has(entry.id)) continue;
      this.#items.set(entry.id, this.#item(entry));
      this.#list.prepend(this.#items.get(entry.id));
    }
    const empty = document.querySelector("#history-empty");
    empty.hidden = entries.length > 0 && this.#history.lasts;
    empty.textContent = t(this.#history.lasts ? "history.empty" : "history.nowhere");
    document.querySelector("#history-clear").hidden = entries.length === 0;
    this.#search.hidden = entries.length < SEARCHED_FROM;
    this.#filter();
  }

  /** Show the entries that hold what is searched. */
  #filter() {
    const wanted = this.#search.hidden ? "" : this.#search.value.trim().toLocaleLowerCase();
    for (const item of this.#items.values()) item.hidden = !item.textContent.toLocaleLowerCase().includes(wanted);
  }

  #item(entry) {
    const { text, language, emotion = "neutral", speed = 1 } = entry.choice;
    const points = [...text];
    const excerpt = points.length > EXCERPT ? `${points.slice(0, EXCERPT).join("").replace(CUT_MARK, "")}…` : text;
    const words = Object.assign(document.createElement("p"), { className: "excerpt" });
    write(words, excerpt);
    const short = withoutMarks(excerpt);
    words.dir = direction(language);
    if (language) words.lang = language;
    // As the player shows it.
    const length = clock(entry.seconds);
    const spoken = nameOf(heardVoice(entry.choice, entry.result));
    const facts = [
      moment(entry.time),
      entry.stopped ? t("history.stopped", { length }) : entry.lost ? t("history.lost", { length }) : length,
      spoken,
      emotion !== "neutral" && t(`emotion.${emotion}`),
      speed !== 1 && t("times", { n: number(speed, speed % 1 ? 2 : 0) }),
    ].filter(Boolean).join(" · ");
    const note = Object.assign(document.createElement("p"), { className: "note", textContent: facts });
    const actions = Object.assign(document.createElement("div"), { className: "actions" });
    actions.append(
      this.#button("play", short, async () => this.#play(entry, await samples(entry))),
      this.#button("reuse", short, () => this.#reuse(entry.choice)),
      this.#button("download", short, async () => {
        saveFile(wavFile(await samples(entry), entry.sampleRate), fileName(text, "wav"));
      }),
      this.#button("delete", short, () => this.#delete([entry])),
    );
    const item = document.createElement("li");
    item.append(words, note, actions);
    return item;
  }

  /** Delete entries, which can be brought back for a while. */
  async #delete(entries) {
    for (const { id } of entries) await this.#history.delete(id);
    await this.#changed();
    offerUndo(t("history.gone"), async () => {
      for (const entry of entries) await this.#history.put(entry);
      await this.#changed();
    });
    // The button that had the focus is gone.
    document.querySelector("#toast-undo").focus();
  }

  #button(action, text, act) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet" });
    button.textContent = t(`history.${action}`);
    button.setAttribute("aria-label", t("history.of", { action: button.textContent, text }));
    button.addEventListener("click", act);
    return button;
  }
}

async function samples({ pcm }) {
  return [new Int16Array(await pcm.arrayBuffer())];
}
