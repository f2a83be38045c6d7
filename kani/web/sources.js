/**
 * Sources of sound, one at a time: one that begins has the others rest, and after a sample the one goes on that it interrupted.
 * The keys of a headset, the lock screen, the sleep timer, and other tabs act on what is heard, whatever it is.
 */

/**
 * @typedef {object} Source
 * @property {boolean} sounds true while it is heard
 * @property {() => void} pause
 * @property {() => void} [play] goes on, or begins again
 * @property {() => void} stop
 * @property {boolean} [brief] true for a sample: the keys do not act on it
 * @property {boolean} [rests] true if it can go on
 * @property {string} [box] id of the element that plays it
 * @property {Record<string, any>} [told] title and artist; of a chapter also album and artwork
 * @property {number} [position] in seconds, as the length
 * @property {number} [length] NaN while it is not known
 * @property {(second: number) => void} [seek]
 * @property {(key: string) => void} [step] moves as a key on the slider of the position does
 * @property {(by: number) => void} [turn] to another chapter
 * @property {(share: number) => void} [fade] to a share of its loudness, 0 to 1
 */

/** @type {Source?} goes on after a sample */
let waits = null;

/** Acts on all of them; current: the latest that is no sample, null for none. */
export const sources = {
  /** @type {Source[]} */
  all: [],
  /** @type {Source?} */
  current: null,
  /** Called when one begins, and when the current one begins, rests, goes on, or has ended. */
  begins: () => {},
  changed: () => {},

  /** One begins to be heard. @param {Source} source */
  begin(source) {
    const heard = source.brief ? (waits ?? sources.all.find((one) => one !== source && one.sounds) ?? null) : null;
    quiet(source);
    waits = heard?.rests ? heard : null;
    if (!source.brief) sources.current = source;
    sources.begins();
  },

  /** A sample has ended. */
  end() {
    const next = waits;
    waits = null;
    next?.play?.();
  },

  /** One was stopped, or is no more: it does not go on after a sample. @param {Source} source */
  forget: (source) => (waits = waits === source ? null : waits),

  /** @param {number} share of its loudness, 0 to 1 */
  fade(share) {
    for (const source of sources.all) source.fade?.(share);
  },
};

/** Have all rest. @param {Source?} but what goes on */
export function quiet(but = null) {
  waits = null;
  for (const source of sources.all) if (source !== but && source.sounds) source.pause();
}

/** Stop all. */
export function silence() {
  waits = null;
  for (const source of sources.all) source.stop();
}
