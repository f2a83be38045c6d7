/** The keys of a keyboard or headset, and the lock screen: they act on what is heard. */

import { find } from "./element.js";
import { expected } from "./failures.js";
import { playback } from "./playback.js";
import { quiet } from "./player.js";
import { wavFile } from "./wav.js";

/** Browsers show a page on the lock screen while an element of it plays, and one that is long enough. */
const SILENCE_S = 6;
const SILENCE_RATE = 8000;
/** What arrow keys are for; a list that was clicked has no use for them. */
const FIELDS = "dialog, input, select:focus-visible, textarea, [contenteditable]";
/** Keys that turn to another chapter, by ids of the page's buttons. @type {[MediaSessionAction, string][]} */
const TURNS = [["previoustrack", "book-previous"], ["nexttrack", "book-next"]];

export class MediaKeys {
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
    document.addEventListener("keydown", pressed);
    for (const key of /** @type {MediaSessionAction[]} */ (Object.keys(keys))) navigator.mediaSession.setActionHandler(key, keys[key]);
  }

  /** Something is heard; told: its title, artist, and of a chapter also album and artwork. */
  async plays(told) {
    navigator.mediaSession.metadata = new MediaMetadata(told);
    for (const [key, id] of TURNS) navigator.mediaSession.setActionHandler(key, told.album ? () => find(id).click() : null);
    navigator.mediaSession.playbackState = "playing";
    // A browser may allow no sound yet, or have no device.
    await this.#silence.play().catch(expected([DOMException], () => {}));
  }

  /** Nothing is heard any more. */
  ends() {
    this.#silence.pause();
    navigator.mediaSession.playbackState = "none";
  }
}

/** Take a key of the keyboard that what has the focus has no use for, while something is heard or can be read on. */
function pressed(event) {
  const { key, target, altKey, ctrlKey, metaKey, defaultPrevented } = event;
  const users = key === " " ? `${FIELDS}, :is(a, button, summary):focus-visible` : FIELDS;
  if (altKey || ctrlKey || metaKey || defaultPrevented || target.closest(users)) return;
  const act = { " ": "pause", ...(playback.player.busy && { ArrowLeft: "back", ArrowRight: "forward" }) }[key];
  if (!act || find("pause").disabled || find("pause").dataset.act === "again") return;
  event.preventDefault();
  find(act).click();
}
