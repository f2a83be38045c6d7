/** The stage: the text being spoken, in the place where it was typed, and the row that plays it. */

import { eachFrame, find, query, tell } from "./element.js";
import { clock, number, percent, seconds, t } from "./i18n.js";
import { Memory } from "./storage.js";
import { heardVoice, languageName, nameOf } from "./voices.js";
import { Waveform } from "./waveform.js";
import { withoutMarks, Words } from "./words.js";

const PLACES_EVERY_MS = 2000;
/** Seconds of speech in a second of playback. */
const TEMPOS = [0.5, 0.75, 1, 1.25, 1.5, 2];
/** Code units of the text of a result that its player shows. */
const LONGEST_TITLE = 160;
/** What is shown beside a result only. */
const PARTS = ["stage", "edit", "share", "rest", "code", "details"];
/** Characters of a second of speech, before its own pace is known. */
const USUAL_PACE = 14;
/** Share of a text after which its pace is known. */
const KNOWN_FROM = 0.1;

export class Stage {
  #words = new Words(find("words"));
  #waveform;
  /** The chart of when the audio came, once it was asked for. */
  #arrivals = null;
  #utterance = null;
  #stopDrawing = () => {};
  /** Id of the utterance with the figures that are shown. */
  #measured = "";
  #place = 0;
  #placing = 0;

  /**
   * @param {import("./player.js").Player} player that the words follow in time
   * @param {(position: number) => void} seek called with the second from which the audio is to be heard
   * @param {(place: number, came: boolean) => boolean} readFrom as Book has it
   */
  constructor(player, seek, readFrom) {
    this.player = player;
    this.#waveform = new Waveform(find("waveform"), (second) => {
      const { choice: { text, before = "" }, seconds: length } = this.#utterance;
      const { earlier, expected } = this.#waveform;
      // Of what is before it there is no audio, nor of what has not come.
      const place = second < 0 ? before.length * (1 + second / earlier) : before.length + text.length * (second / expected);
      const there = second >= 0 && second <= length;
      if (there || !readFrom(Math.floor(place), false)) seek(second);
    });
    find("words").ariaLabel = t("words.label");
    find("words").addEventListener("click", ({ target, clientX, clientY }) => {
      if (!window.getSelection().isCollapsed) return;
      const from = this.#words.timeOf(target);
      if (readFrom(this.#words.placeAt(clientX, clientY), from !== undefined)) return;
      if (from !== undefined) seek(from);
      else this.#edit();
    });
    find("edit").addEventListener("click", () => (find("words").hidden ? this.#showWords(true) : this.#edit()));
    const text = find("text");
    for (const kind of ["focus", "input"]) text.addEventListener(kind, () => this.#showWords(false));
    // What was told is of another text.
    text.addEventListener("input", () => this.player.busy || this.say(""));
    text.addEventListener("keydown", ({ key, ctrlKey, metaKey }) => {
      if (!ctrlKey && !metaKey && !["Escape", "Tab", "Shift", "Alt"].includes(key)) this.#showWords(false);
    });
    find("details").addEventListener("toggle", () => this.#chart());
    this.#offerVolume();
    this.#offerTempo(seek);
  }

  #offerVolume() {
    const memory = new Memory("kani.volume", () => localStorage);
    const slider = find("volume");
    slider.value = memory.text || "1";
    this.player.volume = slider.valueAsNumber;
    slider.addEventListener("input", () => {
      memory.text = slider.value;
      this.player.volume = slider.valueAsNumber;
    });
  }

  #offerTempo(seek) {
    const words = (tempo) => t("times", { n: number(tempo, String(tempo).slice(2).length) });
    find("tempo").append(...TEMPOS.map((tempo) => new Option(words(tempo), String(tempo), tempo === 1, tempo === 1)));
    find("tempo-shown").textContent = words(1);
    find("tempo").addEventListener("change", async () => {
      const tempo = Number(find("tempo").value);
      find("tempo-shown").textContent = words(tempo);
      await this.player.setTempo(tempo);
      if (this.player.busy && !this.player.paused) seek(this.player.heard());
    });
  }

  /** Show the words in the place of the text, or the text. */
  #showWords(shown) {
    if (find("edit").hidden || find("words").hidden === !shown) return;
    find("words").hidden = !shown;
    find("edit").textContent = t(shown ? "edit" : "edit.back");
  }

  #edit() {
    this.#showWords(false);
    find("text").focus();
    find("text").scrollTop = find("words").scrollTop;
  }

  /** Show the text that is spoken next. */
  offer(choice) {
    this.hide();
    this.#write(choice);
  }

  #write({ text, language, before }) {
    find("edit").hidden = false;
    this.#showWords(true);
    this.#words.begin(text, language, before);
  }

  /** Show an utterance. */
  begin(utterance) {
    this.#utterance = utterance;
    this.#write(utterance.choice);
    this.#waveform.begin();
    const { text, chapter, title } = utterance.choice;
    find("of").textContent = [chapter, title].filter(Boolean).join(" · ") || withoutMarks(text).slice(0, LONGEST_TITLE);
    if (utterance.live) {
      this.#measured = utterance.id;
      for (const name of ["first", "factor", "audio", "chunks"]) find(`figure-${name}`).textContent = "–";
      find("told").textContent = "";
    }
    // An utterance from the history has no figures of its arrival.
    query("#details .live").hidden = utterance.id !== this.#measured;
    for (const id of PARTS) find(id).hidden = false;
    find("spoken").open = false;
    for (const piece of utterance.pieces) this.#waveform.add(piece, utterance.sampleRate);
    this.#words.add(utterance.spans);
    this.#expect();
    this.#chart();
    this.#stopDrawing();
    this.#stopDrawing = eachFrame(() => this.#draw());
  }

  /** Show nothing: of what was asked for, nothing came. */
  hide() {
    this.#stopDrawing();
    this.#showWords(false);
    this.#utterance = null;
    for (const id of PARTS) find(id).hidden = true;
    this.say("");
  }

  /** Say what happens, to the eye and to a screen reader. */
  say(words) {
    clearTimeout(this.#placing);
    this.#placing = 0;
    tell(find("status"), words);
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
    this.#expect();
  }

  /** All that was asked for has come. */
  complete() {
    // A chapter that was stopped is as long as it was.
    if (!this.#utterance?.stopped || !this.#utterance.choice.chapter) this.#waveform.expected = 0;
  }

  /** Foresee the length of the whole by what has come of the text, and that of what is before it in a chapter. */
  #expect() {
    const { progress, seconds: length, choice: { text, before = "" }, live } = this.#utterance;
    const whole = progress > KNOWN_FROM ? length / progress : text.length / USUAL_PACE;
    this.#waveform.expected = live ? whole : 0;
    this.#waveform.earlier = (whole * before.length) / text.length;
  }

  /** The first sound is heard ``milliseconds`` after the click. */
  sounds(milliseconds) {
    if (this.#utterance.live) find("figure-first").textContent = t("ms", { n: number(milliseconds) });
  }

  /** Nothing more is heard; all: it was heard to its end. */
  end(all) {
    this.#stopDrawing();
    if (!this.#utterance) return;
    this.#count();
    this.#words.end(all);
    this.complete();
    this.#shows(all ? this.#utterance.seconds : this.player.heard());
    this.#arrivals?.draw();
  }

  /** Show the final metadata: engine, voice, similarity to a recording, unused parameters. */
  told({ engine, voice, language, passages = [], unused = [], cloning, similarity, truncated }) {
    const lines = [];
    const by = (spoken) => t("told.by", { engine: spoken.engine, voice: nameOf(spoken.voice), language: languageName(spoken.language) });
    if (engine) lines.push(by({ engine, voice: heardVoice(this.#utterance.choice, { voice, cloning }), language }));
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
    const { arrivals, factor, seconds: length } = this.#utterance;
    if (arrivals.length === 0) return;
    tell(find("figure-factor"), number(factor, 2));
    tell(find("figure-audio"), seconds(length));
    tell(find("figure-chunks"), number(arrivals.length));
  }

  /** Chart when the audio of this utterance came, if that is to be seen. */
  async #chart() {
    const { Arrivals } = find("details").open ? await import("./arrivals.js") : {};
    if (!Arrivals || !this.#utterance) return;
    this.#arrivals ??= new Arrivals();
    this.#arrivals.begin(this.#utterance.arrivals);
  }

  /** Show a position: the waveform, and the time beside it. */
  #shows(position) {
    this.#waveform.draw(position);
    const { seconds: length } = this.#utterance;
    const { earlier, expected } = this.#waveform;
    const about = earlier || expected > length ? "~" : "";
    tell(find("clock"), `${clock(earlier + Math.min(position, length))} / ${about}${clock(earlier + Math.max(expected, length))}`);
  }

  #draw() {
    this.#count();
    const position = this.player.heard();
    this.#words.show(position > 0 ? position : -1);
    this.#shows(position);
    if (this.#utterance.live && this.#arrivals && find("details").open) {
      if (position > 0) this.#arrivals.heard((performance.now() - this.#utterance.askedAt) / 1000, position);
      this.#arrivals.draw();
    }
  }
}
