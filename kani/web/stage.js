/** The stage: the text being spoken, as its audio arrives and as it plays. */

import { Arrivals } from "./arrivals.js";
import { number, percent, seconds, t } from "./i18n.js";
import { Memory } from "./storage.js";
import { languageName, nameOf } from "./voices.js";
import { Waveform } from "./waveform.js";
import { Words } from "./words.js";

const PLACES_EVERY_MS = 2000;
/** Seconds of speech in a second of playback. */
const TEMPOS = [0.5, 0.75, 1, 1.25, 1.5, 2];

const find = (id) => document.querySelector(`#${id}`);

export class Stage {
  #words = new Words(find("words"));
  #waveform = new Waveform(find("waveform"));
  #arrivals = new Arrivals(find("arrivals"));
  #utterance = null;
  #frame = 0;
  #live = false;
  /** Id of the utterance with the figures that are shown. */
  #measured = "";
  #counted = true;
  #place = 0;
  #placing = 0;

  /**
   * @param {Player} player that the words follow in time
   * @param {(position: number) => void} seek called with the second from which the audio is to be heard
   */
  constructor(player, seek) {
    this.player = player;
    find("words").addEventListener("click", ({ target }) => {
      const from = this.#words.timeOf(target);
      if (from !== undefined && window.getSelection().isCollapsed) seek(from);
    });
    find("seek").addEventListener("change", ({ target }) => seek(Number(target.value)));
    find("words").setAttribute("aria-label", t("words.label"));
    this.#offerVolume();
    this.#offerTempo(seek);
  }

  #offerVolume() {
    const memory = new Memory("kani.volume", () => localStorage);
    find("volume").value = Number.parseFloat(memory.text || "1");
    this.player.volume = Number(find("volume").value);
    find("volume").addEventListener("input", ({ target }) => {
      memory.text = target.value;
      this.player.volume = Number(target.value);
    });
  }

  #offerTempo(seek) {
    const words = (tempo) => t("times", { n: number(tempo, String(tempo).slice(2).length) });
    find("tempo").append(...TEMPOS.map((tempo) => new Option(words(tempo), tempo, tempo === 1, tempo === 1)));
    find("tempo").addEventListener("change", async ({ target }) => {
      await this.player.setTempo(Number(target.value));
      if (this.player.busy && !this.player.paused) seek(this.player.heard());
    });
  }

  /** Show an utterance; live: it is being made now, so that its coming can be watched. */
  begin(utterance, live) {
    this.#utterance = utterance;
    this.#live = live;
    this.#words.begin(utterance.choice.text, utterance.choice.language);
    this.#waveform.begin();
    if (live) {
      this.#measured = utterance.id;
      this.#arrivals.begin();
      for (const name of ["first", "factor", "audio", "chunks"]) find(`figure-${name}`).textContent = "–";
      find("told").textContent = "";
    }
    // An utterance from the history has no figures of its arrival.
    for (const box of document.querySelectorAll("#stage .live")) box.hidden = utterance.id !== this.#measured;
    find("stage").hidden = false;
    find("spoken").open = false;
    find("progress").hidden = !live;
    find("progress").value = 0;
    const behavior = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
    find("stage").scrollIntoView({ block: "nearest", behavior });
    for (const piece of utterance.pieces) this.#waveform.add(piece, utterance.sampleRate);
    this.#words.add(utterance.spans);
    this.#label();
    cancelAnimationFrame(this.#frame);
    this.#draw();
  }

  /** Show nothing: of what was asked for, nothing came. */
  hide() {
    cancelAnimationFrame(this.#frame);
    this.#utterance = null;
    find("stage").hidden = true;
  }

  /** Say what happens, to the eye and to a screen reader. */
  say(words) {
    clearTimeout(this.#placing);
    this.#placing = 0;
    if (find("status").textContent !== words) find("status").textContent = words;
  }

  /** Say the place in the queue, but not every change of it: a screen reader reads each aloud. */
  queued(place) {
    this.#place = place;
    if (this.#placing) return;
    this.say(t("status.queue", { place }));
    this.#placing = setTimeout(() => {
      this.#placing = 0;
      if (this.#place !== place) this.queued(this.#place);
    }, PLACES_EVERY_MS);
  }

  /** A chunk has come, and the spans it brought. */
  came(samples, spans) {
    this.#waveform.add(samples, this.#utterance.sampleRate);
    this.#words.add(spans);
    this.#arrivals.came(...this.#utterance.arrivals.at(-1));
    this.#counted = false;
    find("progress").value = this.#utterance.progress;
  }

  /** The first sound is heard ``milliseconds`` after the click. */
  sounds(milliseconds) {
    if (this.#live) find("figure-first").textContent = t("ms", { n: number(milliseconds) });
  }

  /** Nothing more is heard; all: it was heard to its end. */
  end(all) {
    cancelAnimationFrame(this.#frame);
    if (!this.#utterance) return;
    this.#count();
    find("progress").hidden = true;
    this.#words.end(all);
    const position = all ? this.#utterance.seconds : this.player.heard();
    this.#waveform.draw(position);
    this.#seeks(position);
    this.#arrivals.draw();
    this.#label();
  }

  /** Show the final metadata: engine, voice, similarity to a recording, unused parameters. */
  told({ engine, voice, language, passages = [], unused = [], cloning, similarity, truncated }) {
    const lines = [];
    const by = (spoken) => t("told.by", { engine: spoken.engine, voice: nameOf(spoken.voice), language: languageName(spoken.language) });
    if (engine) lines.push(by({ engine, voice, language }));
    lines.push(...new Set(passages.map(by)));
    if (unused.length) lines.push(t("told.unused", { names: unused.join(", ") }));
    const recorded = this.#utterance.choice.voice.startsWith("custom:") || unused.includes("prompt_wav_url");
    if (cloning === "none" && recorded) lines.push(t("told.cloning"));
    if (cloning === "embedding") lines.push(t("told.like"));
    if (similarity) lines.push(t("told.near", { now: percent(similarity.now) }));
    if (truncated) lines.push(t("told.truncated"));
    find("told").textContent = lines.join(" ");
    if (language) find("words").lang = language;
  }

  /** Write the figures, once a frame at most: many chunks come between two. */
  #count() {
    if (this.#counted) return;
    const { arrivals, factor, seconds: length } = this.#utterance;
    find("figure-factor").textContent = number(factor, 2);
    find("figure-audio").textContent = seconds(length);
    find("figure-chunks").textContent = number(arrivals.length);
    this.#counted = true;
  }

  #label() {
    const { arrivals, seconds: length } = this.#utterance;
    find("waveform").setAttribute("aria-label", t("wave.label", { length: seconds(length) }));
    const facts = { n: arrivals.length, time: seconds(arrivals.at(-1)?.[0] ?? 0), length: seconds(length) };
    if (this.#live) find("arrivals").setAttribute("aria-label", t("arrivals.label", facts));
  }

  /** Move the slider to a second of the audio, unless it is held. */
  #seeks(position) {
    const slider = find("seek");
    const length = this.#utterance.seconds;
    const at = Math.min(position, length);
    if (slider.matches(":active") || (slider.value === at.toFixed(1) && slider.max === length.toFixed(1))) return;
    slider.max = length.toFixed(1);
    slider.value = at.toFixed(1);
    slider.setAttribute("aria-valuetext", t("seek.value", { at: seconds(at), length: seconds(length) }));
  }

  #draw() {
    this.#count();
    const position = this.player.heard();
    this.#words.show(position > 0 ? position : -1);
    this.#seeks(position);
    this.#waveform.draw(position);
    if (this.#live) {
      if (position > 0) this.#arrivals.heard((performance.now() - this.#utterance.askedAt) / 1000, position);
      this.#arrivals.draw();
    }
    this.#frame = requestAnimationFrame(() => this.#draw());
  }
}
