/** The keys of a keyboard or headset, and the lock screen: they act on what is heard. */

import { find, query, queryAll } from "./element.js";
import { expected } from "./failures.js";
import { playback } from "./playback.js";
import { quiet } from "./player.js";
import { wavFile } from "./wav.js";

/** Browsers show a page on the lock screen while an element of it plays, and one that is long enough. */
const SILENCE_S = 6;
const SILENCE_RATE = 8000;
/** What arrow keys are for; a list that was clicked has no use for them. */
const FIELDS = "dialog, input, select:focus-visible, textarea, [contenteditable]";
/** The buttons of the player that is shown which keys press. */
const KEYS = { " ": ".round", ArrowLeft: "[value=ArrowLeft]", ArrowRight: "[value=ArrowRight]" };
/** Keys that turn to another chapter, by ids of the page's buttons. @type {[MediaSessionAction, string][]} */
const TURNS = [["previoustrack", "book-previous"], ["nexttrack", "book-next"]];

export class MediaKeys {
  /** The lock that keeps the screen lit, as a promise; nothing without one. */
  #lit;
  #silence = new Audio(URL.createObjectURL(wavFile([new Int16Array(SILENCE_S * SILENCE_RATE)], SILENCE_RATE)));

  constructor() {
    this.#silence.loop = true;
    /** @type {Partial<Record<MediaSessionAction, () => void>>} */
    const keys = {
      play: () => (playback.player.busy ? playback.pause(false) : find("pause").click()),
      pause: () => playback.pause(true),
      stop: () => quiet(),
      seekbackward: () => find("back").click(),
      seekforward: () => find("forward").click(),
    };
    document.addEventListener("visibilitychange", this.changed);
    for (const key of /** @type {MediaSessionAction[]} */ (Object.keys(keys))) navigator.mediaSession.setActionHandler(key, keys[key]);
  }

  /** Something is heard; told: its title, artist, and of a chapter also album and artwork. */
  async plays(told) {
    navigator.mediaSession.metadata = new MediaMetadata(told);
    for (const [key, id] of TURNS) navigator.mediaSession.setActionHandler(key, told.album ? () => find(id).click() : null);
    this.changed();
    // A browser may allow no sound yet, or have no device.
    await this.#silence.play().catch(expected([DOMException], () => {}));
  }

  /** Something is heard, rests, or has ended: tell the system, and keep the screen lit for those who read along. */
  changed = () => {
    const { busy, player: { paused } } = playback;
    if (!busy) this.#silence.pause();
    navigator.mediaSession.playbackState = paused ? "paused" : busy ? "playing" : "none";
    const lights = busy && !paused && !document.hidden;
    if (lights === Boolean(this.#lit)) return;
    this.#lit?.then((lock) => lock?.release());
    // The system may refuse it, as to save power.
    this.#lit = lights ? navigator.wakeLock?.request("screen").catch(expected([DOMException], () => null)) : null;
  };
}

/** What a click gave the focus, while it has that: the space bar is not meant for it, though browsers show its ring once a key is pressed. */
let clicked = null;
document.addEventListener("click", ({ detail }) => (clicked = detail > 0 ? document.activeElement : clicked));
document.addEventListener("focusout", () => (clicked = null));

/** Have a key that what has the focus has no use for press a button of the player that is shown: a step while something is heard, or a text rests. */
document.addEventListener("keydown", (/** @type {any} */ event) => {
  const { key, target, altKey, ctrlKey, metaKey, repeat, defaultPrevented } = event;
  const users = key === " " && document.activeElement !== clicked ? `${FIELDS}, :is(a, button, summary):focus-visible` : FIELDS;
  if (!KEYS[key] || altKey || ctrlKey || metaKey || defaultPrevented || target.closest(users)) return;
  const player = queryAll(".player").find(({ clientHeight }) => clientHeight > 0);
  const button = player && query(KEYS[key], player);
  if (!button || button.disabled || button.dataset.act === "again" || (key !== " " && !player.matches("[data-sounds], #stage:has([data-act=resume])"))) return;
  event.preventDefault();
  if (!repeat) button.click();
});
