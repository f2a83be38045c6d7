/** The player of a recording that was transcribed: a button and a waveform, outside of the tabs. */

import { offerTempos } from "./delivery.js";
import { eachFrame, find, tell } from "./element.js";
import { expected } from "./failures.js";
import { clock, t } from "./i18n.js";
import { sources } from "./sources.js";
import { Waveform } from "./waveform.js";

/** A longer recording is not decoded for its waveform: an hour would take 200 MB. */
const LONGEST_DRAWN_S = 1200;
/** Hertz: enough for a waveform, and the lowest rate that browsers decode to. */
const DRAWN_RATE = 8000;

export class RecordingPlayer {
  #audio = new Audio();
  box = "heard";
  #waveform = new Waveform(find("heard-waveform"), (at) => this.playFrom(at));
  #light;
  #stopDrawing = () => {};
  #taken = null;
  /** Second of the last word that was heard, which is the length of a recording that does not tell it. */
  #end = 0;

  /** @param {(second: number) => void} light called with what is heard now, -1 for nothing */
  constructor(light) {
    this.#light = light;
    sources.all.push(this);
    find("heard-play").addEventListener("click", () => (this.sounds ? this.pause() : this.play()));
    for (const kind of ["play", "pause", "ended", "seeked"]) this.#audio.addEventListener(kind, () => this.#changed());
    offerTempos(find("heard-tempo"), (tempo) => (this.#audio.playbackRate = this.#audio.defaultPlaybackRate = tempo));
    // The transcript is still shown where this browser cannot play the recording.
    this.#audio.addEventListener("error", () => (find("heard").hidden = true));
    this.#changed();
  }

  get length() {
    const { duration } = this.#audio;
    return Number.isFinite(duration) ? duration : this.#end;
  }

  /** True if there is a recording that can be played. */
  get ready() {
    return !find("heard").hidden;
  }

  /** Take a recording, unless it is there already; end: second of its last word. */
  async take(recording, end) {
    this.#end = end;
    // A file that was written as it was recorded may not say how long it is.
    if (this.#audio.duration === Infinity) this.#waveform.seconds = end;
    if (this.#taken === recording) return this.#changed();
    this.drop();
    this.#taken = recording;
    this.#audio.src = URL.createObjectURL(recording);
    find("heard").hidden = false;
    find("heard-of").textContent = recording.name ?? "";
    this.#waveform.begin();
    const { src } = this.#audio;
    const length = await lengthOf(recording);
    const drawn = length < LONGEST_DRAWN_S ? await decoded(recording) : null;
    if (this.#audio.src !== src) return;
    if (drawn) this.#waveform.add(drawn, DRAWN_RATE);
    else this.#waveform.seconds = this.length;
    this.#waveform.expected = 0;
    this.#changed();
  }

  /** Have no recording any more. */
  drop() {
    sources.forget(this);
    this.#taken = null;
    find("heard").hidden = true;
    if (!this.#audio.src) return;
    URL.revokeObjectURL(this.#audio.src);
    this.#audio.pause();
    this.#audio.removeAttribute("src");
  }

  get sounds() {
    return !this.#audio.paused;
  }

  get rests() {
    return this.ready && !this.sounds;
  }

  get told() {
    return { title: find("heard-of").textContent || t("listen.transcript"), artist: "Kani" };
  }

  get position() {
    return this.#audio.currentTime;
  }

  /** Play from a second on. */
  playFrom(at) {
    this.#audio.currentTime = at;
    this.play();
  }

  seek = this.playFrom;

  step = (key) => this.#waveform.step(key);

  fade = (share) => (this.#audio.volume = share);

  pause() {
    this.#audio.pause();
  }

  stop = this.pause;

  async play() {
    if (!this.ready) return;
    sources.begin(this);
    // It may be paused, or another one be taken, before it begins.
    await this.#audio.play().catch(expected([DOMException], () => {}));
  }

  #changed() {
    const { paused, ended } = this.#audio;
    find("heard-play").dataset.act = paused ? "resume" : "pause";
    find("heard-play").ariaLabel = t(paused ? "history.play" : "pause");
    this.#stopDrawing();
    this.#stopDrawing = eachFrame(() => {
      const { currentTime: at } = this.#audio;
      tell(find("heard-clock"), `${clock(at)} / ${clock(this.length)}`);
      this.#waveform.draw(at);
      if (!paused) this.#light(at);
    });
    if (paused) this.#stopDrawing();
    if (ended) this.#light(-1);
    sources.changed();
  }
}

/** Seconds of a recording; none that are finite where this browser cannot tell. */
export async function lengthOf(recording) {
  const audio = new Audio();
  audio.preload = "metadata";
  audio.src = URL.createObjectURL(recording);
  await new Promise((resolve) => (audio.onloadedmetadata = audio.onerror = resolve));
  URL.revokeObjectURL(audio.src);
  // NaN after an error.
  return audio.duration;
}

/** The first channel of a recording as Int16Array, at DRAWN_RATE; null where this browser cannot decode it. */
async function decoded(recording) {
  const context = new OfflineAudioContext(1, 1, DRAWN_RATE);
  const whole = await context.decodeAudioData(await recording.arrayBuffer()).catch(expected([DOMException], () => null));
  return whole && Int16Array.from(whole.getChannelData(0), (sample) => 32767 * Math.max(-1, Math.min(1, sample)));
}
