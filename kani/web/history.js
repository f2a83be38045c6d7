/**
 * Everything that was made: speech, transcripts and conversations, and books that were opened, in this browser (IndexedDB), or in memory where storage is disabled.
 *
 * An entry has an id, a time (milliseconds) and a kind, "speech" where it says none; its sound is its pcm or recording, a book's file its file.
 */

import { expected } from "./failures.js";
import { Memory } from "./storage.js";

const NAME = "kani";
const STORE = "history";
/** Entries of a kind. */
const MOST = 50;
/** Places that are remembered: as many as there are entries that have one. */
const MOST_PLACES = 3 * MOST;
/** Bytes of all sounds. */
const MOST_BYTES = 200 * 2 ** 20;

/** Sorts of entries, by how hard it is to make them again: a recording of the microphone never can be. */
const WORTH = ["microphone", "talk", "file", "speech", "book", "chapter"];

/** The sort of an entry, one of WORTH. */
const sortOf = ({ kind, choice, name }) => kind === "transcript" ? (name ? "file" : "microphone") : (kind ?? (choice.chapter ? "chapter" : "speech"));

/** Prefix of the ids of a recording's parts, which an entry has meanwhile; they sort before the same with ";". */
const soundOf = (id) => `${id}:sound:`;

/** A recording of its parts, null for none; and for those of samples while nothing can write a file of them, without the server. */
async function joined(parts) {
  const blobs = parts.sort((one, next) => one.part - next.part).map(({ recording }) => recording);
  if (!parts[0]?.rate) return blobs[0] ?? null;
  return import("./wav.js").then(({ wavFile }) => wavFile(blobs, parts[0].rate), expected([TypeError], () => null));
}

/** The answer to an IndexedDB request, once its transaction, if it is in one, is complete: one that has no room is aborted after the answer. */
const answer = (request) => new Promise((resolve, reject) => {
  const done = () => resolve(request.result);
  if (request.transaction) Object.assign(request.transaction, { oncomplete: done, onabort: () => reject(request.transaction.error) });
  else request.onsuccess = done;
  request.onerror = () => reject(request.error);
});

export class History {
  /** Shows what is kept, here and in other tabs. */
  changed = async () => {};
  /** True if entries last beyond this page; and true if something of one's own had to go. */
  lasts = true;
  full = false;
  #database = null;
  #memory = new Map();
  #forgets = expected([DOMException], () => {
    this.lasts = false;
    return null;
  });

  /** Everything that is kept, the newest first. */
  async list() {
    const stored = (await this.#ask("readonly", (store) => store.getAll())) ?? [];
    const all = new Map([...stored.map((entry) => [entry.id, entry]), ...this.#memory]);
    const entries = [...all.values()].filter(({ kind }) => kind !== "sound");
    const sounds = [...all.values()].filter(({ kind }) => kind === "sound");
    for (const entry of entries) entry.recording ??= await joined(sounds.filter(({ id }) => id.startsWith(soundOf(entry.id))));
    return entries.sort((one, other) => other.time - one.time);
  }

  /** The entry with an id, undefined for none. */
  find = async (id) => (await this.list()).find((entry) => entry.id === id);

  /** Keep an entry as `put` does, and show it. */
  async add(entry) {
    await this.put(entry);
    await this.changed();
  }

  /** Keep the recording of an entry until the entry is kept with it: a file, or a part of it, the samples at a rate. */
  putSound = (id, recording, part = 0, rate = 0) => this.#write({ kind: "sound", id: soundOf(id) + part, recording, part, rate });

  /** Keep an utterance with some audio; lost: more was to come. */
  keep({ id, choice, pieces, spans, sampleRate, seconds, result, stopped }, lost) {
    return this.put({ id, time: Date.now(), choice, pcm: new Blob(pieces), spans, sampleRate, seconds, result, stopped, lost });
  }

  /** Keep an entry; it replaces one with its id. Beyond the limits the last sorts of WORTH are deleted first, the oldest of each first; what is larger than all room drives nothing else out. */
  async put(entry) {
    await this.#write(entry);
    // An entry in memory only does not replace stored parts.
    if (entry.recording && this.lasts) await this.#eraseSound(entry.id);
    const counts = {};
    let bytes = 0;
    const worth = (other) => (other.id === entry.id ? -1 : WORTH.indexOf(sortOf(other)));
    for (const other of (await this.list()).sort((one, next) => worth(one) - worth(next))) {
      const sort = sortOf(other);
      const size = [other.pcm ?? other.recording ?? other.file, ...(other.images ?? [])].reduce((sum, blob) => sum + (blob?.size ?? 0), 0);
      counts[sort] = (counts[sort] ?? 0) + 1;
      const full = size > 0 && bytes + size > MOST_BYTES && other.id !== entry.id;
      if (!full && size <= MOST_BYTES) bytes += size;
      if (!full && counts[sort] <= MOST) continue;
      this.full ||= sort !== "chapter";
      // Words are small: of a transcript only its recording goes, of a book its file and its pictures.
      await this.delete(other.id);
      if (!other.pcm && counts[sort] <= MOST) await this.#write({ ...other, recording: null, file: null, images: [] });
    }
  }

  /** Forget one. */
  async delete(id) {
    await this.#eraseSound(id);
    await this.#ask("readwrite", (store) => store.delete(id));
    this.#memory.delete(id);
  }

  async #eraseSound(id) {
    const beginning = soundOf(id);
    await this.#ask("readwrite", (store) => store.delete(IDBKeyRange.bound(beginning, `${beginning.slice(0, -1)};`)));
    for (const key of this.#memory.keys()) if (key.startsWith(beginning)) this.#memory.delete(key);
  }

  async #write(entry) {
    // A full disk, or a private window that stores no blobs.
    await this.#ask("readwrite", (store) => store.put(entry)).catch(this.#forgets);
    if (!this.lasts) this.#memory.set(entry.id, entry);
  }

  /** The answer to what ``act`` asks of the store; null in a browser that has none. */
  async #ask(mode, act) {
    this.#database ??= connect().catch(this.#forgets);
    const database = await this.#database;
    return database && answer(act(database.transaction(STORE, mode).objectStore(STORE)));
  }
}

/** The history of this browser. */
export const history = new History();

/** The places in what is kept, by its ids: in a book a chapter, and the character of it that a sentence begins at; in a long text that character. */
export const places = new Memory("kani.places", () => localStorage);

/** Remember a place, or none. */
export function keepPlace(id, place = undefined) {
  if (JSON.stringify(places.object[id]) === JSON.stringify(place)) return;
  const others = Object.entries(places.object).filter(([other]) => other !== id);
  places.text = JSON.stringify(Object.fromEntries((place === undefined ? others : [...others, [id, place]]).slice(-MOST_PLACES)));
}

/** Notes that could not be written, by the ids of their books. */
const unkept = new Map();
/** The memory of a book beside its place: {marks: [{at, from, words, note}], cast: as BookCast has it}. */
export const notesOf = (id) => unkept.get(id) ?? new Memory(`kani.notes.${id}`, () => localStorage);

/** Change some of the notes, which another tab may have changed meanwhile; returns whether they last beyond this page. */
export function keepNotes(id, change) {
  const notes = notesOf(id);
  notes.text = JSON.stringify({ ...notes.object, ...change(notes.object) });
  unkept[notes.lasts ? "delete" : "set"](id, notes);
  return notes.lasts;
}

/** Characters of all chapters. */
export const charactersOf = (chapters) => chapters.reduce((sum, { text }) => sum + text.length, 0);

/** Share of a book that was read, 0 to 1. */
export function shareRead({ id, chapters }) {
  const [at, from] = places.object[id] ?? [0, 0];
  return (charactersOf(chapters.slice(0, at)) + from) / charactersOf(chapters);
}

/** The address of a book's cover, which holds all of it. */
export const coverOf = ({ cover }) => `data:${cover.type};base64,${cover.data}`;

async function connect() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return answer(request);
}
