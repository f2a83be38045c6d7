/** History of utterances, in this browser (IndexedDB), or in memory where storage is disabled. */

const NAME = "kani";
const STORE = "history";
const MOST = 50;
const MOST_BYTES = 200 * 2 ** 20;

/** The answer to an IndexedDB request. */
const answer = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export class History {
  #opening = null;
  #memory = new Map();
  #lasts = true;

  /** Whether what is kept lasts beyond this page. */
  get lasts() {
    return this.#lasts;
  }

  /** Everything that is kept, the newest first. */
  async list() {
    const database = await this.#open();
    const entries = database ? await answer(this.#store(database, "readonly").getAll()) : [...this.#memory.values()];
    return entries.sort((one, other) => other.time - one.time);
  }

  /**
   * Keep an utterance with some audio, and let the oldest go where there are too many.
   * @param {Utterance} utterance
   */
  async keep({ id, choice, pieces, spans, sampleRate, seconds, result, stopped, lost }) {
    const pcm = new Blob(pieces);
    await this.put({ id, time: Date.now(), choice, pcm, spans, sampleRate, seconds, result, stopped, lost });
    let bytes = 0;
    for (const [n, entry] of (await this.list()).entries()) {
      bytes += entry.pcm.size;
      if (n > 0 && (n >= MOST || bytes > MOST_BYTES)) await this.delete(entry.id);
    }
  }

  /** Forget one. */
  async delete(id) {
    const database = await this.#open();
    if (database) await answer(this.#store(database, "readwrite").delete(id));
    this.#memory.delete(id);
  }

  /** Keep an entry of `list` again. */
  async put(entry) {
    const database = await this.#open();
    try {
      if (database) await answer(this.#store(database, "readwrite").put(entry));
    } catch (error) {
      // A full disk, or a private window that stores no blobs.
      if (!(error instanceof DOMException)) throw error;
      this.#lasts = false;
    }
    if (!database || !this.#lasts) this.#memory.set(entry.id, entry);
  }

  #open() {
    this.#opening ??= this.#connect();
    return this.#opening;
  }

  async #connect() {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
      return await answer(request);
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      this.#lasts = false;
      return null;
    }
  }

  #store(database, mode) {
    return database.transaction(STORE, mode).objectStore(STORE);
  }
}
