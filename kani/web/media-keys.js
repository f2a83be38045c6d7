/** The keys of a keyboard or headset, and the lock screen: they act on what is heard. */

import { find } from "./element.js";
import { expected } from "./failures.js";
import { silence, sources } from "./sources.js";
import { wavFile } from "./wav.js";

/** Browsers show a page on the lock screen while an element of it plays, and one that is long enough. */
const SILENCE_S = 6;
const SILENCE_RATE = 8000;
/** Elements that use the space bar and arrow keys themselves; a list that was clicked has no use for them, and a chosen radio button none for the space bar. */
const FIELDS = "dialog, input:not([type=radio]), select:focus-visible, textarea, [contenteditable]";
const KEYS = [" ", "ArrowLeft", "ArrowRight"];

export class MediaKeys {
  /** The lock that keeps the screen lit, as a promise; nothing without one. */
  #lit;
  #silence = new Audio(URL.createObjectURL(wavFile([new Int16Array(SILENCE_S * SILENCE_RATE)], SILENCE_RATE)));
  /** Metadata that is shown, as JSON. */
  #shown = "";

  constructor() {
    this.#silence.loop = true;
    this.#handle({
      play: () => sources.current?.play?.(),
      pause: () => sources.current?.pause(),
      stop: silence,
      seekbackward: () => sources.current?.step?.("ArrowLeft"),
      seekforward: () => sources.current?.step?.("ArrowRight"),
      seekto: ({ seekTime }) => sources.current?.seek?.(seekTime),
    });
    document.addEventListener("visibilitychange", this.changed);
  }

  /** @param {Partial<Record<MediaSessionAction, MediaSessionActionHandler | null>>} keys */
  #handle(keys) {
    const names = /** @type {MediaSessionAction[]} */ (Object.keys(keys));
    for (const key of names) navigator.mediaSession.setActionHandler(key, keys[key] ?? null);
  }

  /** Tell the system that a source began, rests, goes on or has ended, and keep the screen lit for those who read along. */
  changed = () => {
    const { told = {}, sounds, rests, turn, length = NaN, position = 0 } = sources.current ?? {};
    const shown = JSON.stringify(told);
    if (sounds && shown !== this.#shown) {
      this.#shown = shown;
      navigator.mediaSession.metadata = new MediaMetadata(told);
      const turns = told.album ? turn : null;
      this.#handle({ previoustrack: turns && (() => turns(-1)), nexttrack: turns && (() => turns(1)) });
    }
    navigator.mediaSession.playbackState = sounds ? "playing" : rests ? "paused" : "none";
    navigator.mediaSession.setPositionState?.(length > 0 ? { duration: length, position: Math.min(Math.max(0, position), length) } : {});
    if (!sounds && !rests) this.#silence.pause();
    // A browser may allow no sound yet, or have no device.
    else if (sounds) this.#silence.play().catch(expected([DOMException], () => {}));
    const lights = Boolean(sounds) && !document.hidden;
    if (lights === Boolean(this.#lit)) return;
    this.#lit?.then((lock) => lock?.release());
    // The system may refuse it, as to save power.
    this.#lit = lights ? navigator.wakeLock?.request("screen").catch(expected([DOMException], () => null)) : null;
  };
}

/** The element that a click gave the focus, while it has that: the space bar is not meant for it, though browsers show its ring once a key is pressed. */
let clicked = document.activeElement?.matches(":focus-visible") ? null : document.activeElement;
document.addEventListener("click", ({ detail }) => (clicked = detail > 0 ? document.activeElement : clicked));
document.addEventListener("focusout", () => (clicked = null));

/** Have a key that what has the focus has no use for act on the player that is shown: a step, or a rest, while something is heard or can go on. */
document.addEventListener("keydown", (/** @type {any} */ event) => {
  const { key, target, altKey, ctrlKey, metaKey, repeat, defaultPrevented } = event;
  const others = key !== " " ? ", [type=radio]" : document.activeElement !== clicked ? ", :is(a, button, summary):focus-visible" : "";
  if (!KEYS.includes(key) || altKey || ctrlKey || metaKey || defaultPrevented || target.closest(FIELDS + others)) return;
  const source = sources.all.find(({ box }) => box && find(box).clientHeight > 0);
  if (!source?.sounds && !source?.rests) return;
  event.preventDefault();
  if (repeat) return;
  if (key !== " ") source.step?.(key);
  else if (source.sounds) source.pause();
  else source.play?.();
});
