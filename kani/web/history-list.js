/** The history as a list: play again or open, use the text, download, delete. */

import { arrange, button, find, make, query, style, tell } from "./element.js";
import { coverOf, history, notesOf, shareRead } from "./history.js";
import { clock, moment, number, percent, t } from "./i18n.js";
import { playback } from "./playback.js";
import { dialogueOf } from "./talk-lines.js";
import { offerUndo } from "./toast.js";
import { reachOf, textOf, Transcript } from "./transcript.js";
import { heardVoice, nameOf } from "./voices.js";
import { fileName, saveFile, wavFile } from "./wav.js";
import { direction, withoutMarks, write } from "./words.js";

/** Characters of a text that are shown at most; style.css shows two lines of them. And those of the names of its buttons. */
const [EXCERPT, NAMED] = [500, 140];
/** Entries from which on they can be searched. */
const SEARCHED_FROM = 6;

await style("lists.css");

export class HistoryList {
  #acts;
  #items = new Map();

  /** @param {Record<string, any>} acts reuse(choice); open(entry): a transcript, a conversation or a book */
  constructor(acts) {
    this.#acts = acts;
    find("history-clear").addEventListener("click", async () => this.#delete(await history.list()));
    find("history-search").addEventListener("input", () => this.#filter());
  }

  /** Show what is kept now; an entry that is shown already stays as it is, and with it the focus. */
  async show() {
    const entries = await history.list();
    const items = new Map();
    for (const entry of entries) {
      const before = this.#items.get(entry.id);
      const facts = factsOf(entry) + textIn(entry);
      items.set(entry.id, before?.facts === facts ? before : { item: this.#item(entry), facts });
    }
    this.#items = items;
    // Speech of a book is folded away in its entry, which stands where the latest speech would.
    const homes = entries.map(({ id, choice }) => items.get(choice?.book) ?? items.get(id));
    arrange(find("history"), [...new Set(homes)].map(({ item }) => item));
    for (const book of entries.filter(({ kind }) => kind === "book")) {
      const { item } = items.get(book.id);
      tell(query(".place", item), percent(shareRead(book)));
      arrange(query("ol", item), entries.filter(({ choice }) => choice?.book === book.id).map(({ id }) => items.get(id).item));
    }
    const told = !history.lasts ? "history.nowhere" : history.full ? "history.full" : entries.length ? "" : "history.empty";
    find("history-empty").hidden = !told;
    find("history-empty").textContent = told && t(told);
    find("history-clear").hidden = entries.length === 0;
    find("history-search").hidden = entries.length < SEARCHED_FROM;
    this.#filter();
  }

  /** Show the entries that hold what is searched. */
  #filter() {
    const { hidden, value } = find("history-search");
    const wanted = hidden ? "" : value.trim().toLocaleLowerCase();
    for (const { item } of this.#items.values()) item.hidden = !item.textContent.toLocaleLowerCase().includes(wanted);
  }

  #item(entry) {
    const text = textIn(entry);
    const { language } = entry.choice ?? {};
    const excerpt = text.slice(0, EXCERPT);
    const words = make("p", { className: "excerpt", dir: direction(language) });
    if (entry.choice) write(words, excerpt);
    else words.textContent = excerpt;
    if (language) words.lang = language;
    const short = withoutMarks(excerpt).slice(0, NAMED);
    const actions = Object.entries(this.#actions(entry)).map(([name, act]) => {
      const action = t(`history.${name}`);
      return button(action, act, { className: "quiet", ariaLabel: t("history.of", { action, text: short }) });
    });
    const facts = make("p", { className: "note", textContent: factsOf(entry) });
    const parts = [words, facts, make("div", { className: "actions" }, ...actions)];
    if (entry.kind !== "book") return make("li", {}, ...parts);
    facts.append(" · ", make("span", { className: "place", id: `place-${entry.id}` }));
    const letter = make("div", { className: "cover", textContent: [...text][0], ariaHidden: "true" });
    const cover = entry.cover ? make("img", { className: "cover", alt: "", src: coverOf(entry) }) : letter;
    return make("li", {}, cover, ...parts, make("details", {}, make("summary", { textContent: t("history.heard") }), make("ol")));
  }

  /** Actions for an entry, by the names of their buttons. */
  #actions(entry) {
    // With a book goes what was heard of it.
    const remove = async () => this.#delete((await history.list()).filter(({ id, choice }) => [id, choice?.book].includes(entry.id)));
    if (entry.choice) {
      return {
        play: async () => playback.replay(entry, await samples(entry)),
        reuse: () => this.#acts.reuse({ ...entry.choice, text: (entry.choice.before ?? "") + entry.choice.text }),
        download: async () => saveFile(wavFile(await samples(entry), entry.sampleRate), fileName(entry.choice.text, "wav")),
        delete: remove,
      };
    }
    // A change of no text, as of a speaker's name, changes no item.
    const latest = async () => (await history.find(entry.id)) ?? entry;
    const open = async () => this.#acts.open(await latest());
    if (entry.kind === "book") return { open, delete: remove };
    return {
      open,
      download: async () => {
        const kept = await latest();
        const text = kept.kind === "talk" ? textIn(kept) : Transcript.from(kept).dialogue;
        saveFile(new Blob([`${text}\n`], { type: "text/plain" }), fileName(text, "txt"));
      },
      delete: remove,
    };
  }

  /** Delete entries, which can be brought back for a while. */
  async #delete(entries) {
    const notes = entries.map(({ id }) => notesOf(id).text);
    for (const { id } of entries) await history.delete(id);
    for (const { id } of entries) notesOf(id).text = "";
    await history.changed();
    offerUndo(t("history.gone"), async () => {
      for (const entry of entries) await history.put(entry);
      for (const [n, { id }] of entries.entries()) notesOf(id).text = notes[n];
      await history.changed();
    }, "history-clear");
    // The button that had the focus is gone.
    find("toast-undo").focus();
  }
}

/** The text of an entry. */
function textIn({ kind, choice, rows, lines, title, author, name }) {
  if (choice) return choice.text;
  if (kind === "book") return [title, author].filter(Boolean).join(", ");
  return kind === "talk" ? dialogueOf(lines) : textOf(...rows) || name || t("listen.recording");
}

/** Facts about an entry: its time, length and kind. */
function factsOf({ time, kind, choice, rows, lines, seconds, result, stopped, lost, cut }) {
  if (kind === "talk") return [moment(time), t("tab.talk"), number(lines.length)].join(" · ");
  if (kind === "book") return [moment(time), t("book.open")].join(" · ");
  // As the player shows it.
  const length = choice ? clock(seconds) : reachOf({ rows, cut });
  const told = stopped ? t("history.stopped", { length }) : lost ? t("history.lost", { length }) : length;
  if (!choice) return [moment(time), told, t("tab.listen")].join(" · ");
  const { emotion = "neutral", speed = 1 } = choice;
  return [
    moment(time),
    told,
    choice.chapter,
    choice.title,
    nameOf(heardVoice(choice, result)),
    emotion !== "neutral" && t(`emotion.${emotion}`),
    speed !== 1 && t("times", { n: number(speed, speed % 1 ? 2 : 0) }),
  ].filter(Boolean).join(" · ");
}

const samples = async ({ pcm }) => [new Int16Array(await pcm.arrayBuffer())];
