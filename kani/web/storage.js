/** Values that this browser remembers: in its storage if it has one, else until the page is left. */

/** The result of what a browser may refuse; null where it does. */
export function unlessRefused(act) {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return null;
  }
}

/** One text that is remembered by a name. */
export class Memory {
  #name;
  #storage;
  #text;
  /** True if the text is kept after the page is left. */
  lasts = true;

  /** @param {string} name @param {() => Storage} storage where; a browser that keeps nothing throws when it is asked for it */
  constructor(name, storage) {
    this.#name = name;
    this.#storage = storage;
    this.#text = this.#try((store) => store.getItem(name)) ?? "";
  }

  /** The text, "" if there is none. */
  get text() {
    return this.#text;
  }

  set text(text) {
    this.#text = text;
    this.lasts = this.#try((store) => [text ? store.setItem(this.#name, text) : store.removeItem(this.#name)]) !== null;
  }

  /** The object that the text is the JSON of; {} for any other text, such as one that another program left. */
  get object() {
    try {
      const value = JSON.parse(this.#text || "{}");
      return typeof value === "object" && value !== null ? value : {};
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return {};
    }
  }

  #try = (use) => unlessRefused(() => use(this.#storage()));
}

/** Have a field hold what this browser remembers by a name; changed: called with its value, now and whenever it is another. */
export function remember(field, name, changed = (value) => value) {
  const memory = new Memory(name, () => localStorage);
  const usual = field.value;
  field.value = memory.text || usual;
  // A list has no other values than its own.
  field.value ||= usual;
  field.addEventListener("input", () => changed((memory.text = field.value)));
  changed(field.value);
}

/** An object that a tab remembers of its own; a new tab begins with what any wrote last. */
export class Draft {
  #own;
  #last;

  /** @param {string} name */
  constructor(name) {
    this.#own = new Memory(name, () => sessionStorage);
    this.#last = new Memory(name, () => localStorage);
  }

  get object() {
    return (this.#own.text ? this.#own : this.#last).object;
  }

  set object(object) {
    this.#own.text = this.#last.text = JSON.stringify(object);
  }
}

/** Longest time until a change of a transcript or a conversation is kept. */
export const KEPT_WITHIN_MS = 1000;

/** Return a unique id; randomUUID exists only over https. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A channel to the other tabs of this page; null in a browser that keeps nothing: Firefox refuses it there. */
export const openChannel = (name) => unlessRefused(() => new BroadcastChannel(name));
