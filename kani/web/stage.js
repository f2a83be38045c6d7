/** The stage: the text being spoken, in the place where it was typed, and the row that plays it. */

import { offerTempos } from "./delivery.js";
import { eachFrame, find, query, tell } from "./element.js";
import { clock, number, percent, seconds, t } from "./i18n.js";
import { tellShown } from "./navigation.js";
import { Memory, remember } from "./storage.js";
import { heardVoice, languageName, nameOf } from "./voices.js";
import { Waveform } from "./waveform.js";
import { isLong, UNSPACED, withoutMarks, Words } from "./words.js";

/** Interval of messages that change often. */
const SELDOM_MS = 2000;
/** The bars of a longer one last for so long that most frames change none: they are drawn as seldom. */
const LONG_S = 120;
const EVERY_MS = 100;
/** Code units of the text of a result that its player shows. */
const LONGEST_TITLE = 160;
/** Elements that are shown beside a result only. */
const PARTS = ["stage", "edit", "share", "rest", "code", "details"];
/** Characters of a second of speech, before its own pace is known, and in a script without spaces. */
const USUAL_PACE = 15;
const UNSPACED_PACE = 6;
export const usualPace = (text) => (UNSPACED.test(text) ? UNSPACED_PACE : USUAL_PACE);
/** Characters that have to be heard to change the pace halfway: that of a voice which was heard before, and a usual one. */
const TELLING = 600;
const TELLING_FIRST = 100;
/** Share of the way to the length that is foreseen, which the one that is shown goes with each frame. */
const EASE = 0.04;

/** Width of a text up to which its letters are large, and up to which they are not small, in Latin letters; and letters that are about as wide as two of these. */
const SIZES = { large: 120, middle: 330 };
const WIDE = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}]/gu;

/** Size the letters by the length of what is shown, the words or the text. */
export function sizeLetters() {
  const shown = find("words").hidden ? find("text").value : find("words").textContent;
  const beginning = shown.slice(0, SIZES.middle + 1);
  const width = beginning.length + (beginning.match(WIDE)?.length ?? 0);
  find("page-of-text").dataset.letters = Object.keys(SIZES).find((size) => width <= SIZES[size]) ?? "small";
}

export class Stage {
  #words = new Words(find("words"));
  #waveform;
  #utterance = null;
  #stopDrawing = () => {};
  /** Time of the last message that changes often, and the timer of the next one. */
  #said = -SELDOM_MS;
  #saying = 0;
  /** Time at which the position was drawn last. */
  #drawn = 0;
  /** Characters of a second of speech at the usual speed: of each voice, and of the utterance; and what is known of that before. */
  #paces = new Memory("kani.paces", () => localStorage);
  #pace = USUAL_PACE;
  #known = { pace: USUAL_PACE, telling: TELLING_FIRST };
  /** Seconds of the utterance, with what is still to come of it. */
  foreseen = 0;

  /**
   * @param {import("./player.js").Player} player that the words follow in time
   * @param {(position: number, rests?: boolean) => void} seek called with the second from which the audio is to be heard; rests: once it is played on
   * @param {(place: any, came: boolean, moves?: boolean) => boolean} readFrom as Book has it
   */
  constructor(player, seek, readFrom) {
    this.player = player;
    this.#waveform = new Waveform(find("waveform"), (second) => {
      const { choice: { text, before = "", speed = 1 }, progress, seconds: length } = this.#utterance;
      const { earlier } = this.#waveform;
      // Of what is before it there is no audio, nor of what has not come.
      const place = second < 0 ? before.length * (1 + second / earlier) : before.length + progress * text.length + (second - length) * this.#pace * speed;
      const there = second >= 0 && (second <= length || this.foreseen <= length);
      if (there || !readFrom(Math.floor(place), false, true)) seek(second, player.paused);
    });
    find("words").addEventListener("click", ({ clientX, clientY }) => {
      if (!window.getSelection().isCollapsed) return;
      const from = this.#words.timeAt(clientX, clientY);
      if (readFrom([clientX, clientY], from !== undefined)) return;
      if (from !== undefined) seek(from);
      else this.#edit();
    });
    find("edit").addEventListener("click", () => this.turn());
    const text = find("text");
    for (const kind of ["focus", "input"]) text.addEventListener(kind, () => this.#showWords(false));
    // The message was about another text.
    text.addEventListener("input", () => this.player.busy || this.say(""));
    text.addEventListener("keydown", ({ key, ctrlKey, metaKey }) => !ctrlKey && !metaKey && !["Escape", "Tab", "Shift", "Alt"].includes(key) && this.#showWords(false));
    remember(find("volume"), "kani.volume", (volume) => (player.volume = Number(volume)));
    offerTempos(find("tempo"), (tempo) => {
      find("tempo-shown").textContent = find("tempo").selectedOptions[0].text;
      player.tempo = tempo;
      if (player.busy) seek(player.heard(), player.paused);
    });
  }

  /** Things that are shown of a text beside its words, as Words has them. @type {(text: string) => any} */
  rich = () => ({});

  /** The name that the player shows. */
  get title() {
    return find("of").textContent;
  }

  /** The loudness that is chosen, 0 to 1. */
  get volume() {
    return find("volume").valueAsNumber;
  }

  /** Move as a key on the slider of the position does. */
  step = (key) => this.#waveform.step(key);

  /** Show the word that is heard. */
  follow() {
    this.#showWords(true);
    this.#words.follow();
  }

  /** Have the text in the place of the words, or the words. */
  turn() {
    if (find("words").hidden) this.#showWords(true);
    else this.#edit();
  }

  /** Show the words in the place of the text, or the text. */
  #showWords(shown) {
    if (find("edit").hidden || find("words").hidden === !shown) return;
    find("words").hidden = !shown;
    sizeLetters();
    tellShown();
    find("edit").textContent = t(shown ? "edit" : "edit.back");
  }

  #edit() {
    this.#showWords(false);
    find("text").focus();
    find("text").scrollTop = find("words").scrollTop;
  }

  /** Characters of a second of speech, in the voice and at the speed of what is shown. */
  get pace() {
    return this.#pace * (this.#utterance?.choice.speed ?? 1);
  }

  /** Show an utterance; still: nothing of it is heard. */
  begin(utterance, still = false) {
    const { text, language, before, chapter, title } = utterance.choice;
    const kept = this.#paces.object[pacer(utterance.choice)];
    this.#known = kept > 0 ? { pace: kept, telling: TELLING } : { pace: usualPace(text), telling: TELLING_FIRST };
    this.#pace = this.#known.pace;
    const earlier = this.#earlierTo(utterance.choice);
    this.#utterance = utterance;
    find("edit").hidden = false;
    // On a phone it has a book's room.
    find("page-of-text").classList.toggle("long", isLong(text));
    this.#showWords(true);
    this.#words.begin(text, language, before, utterance.begun.characters > 0, this.rich((before ?? "") + text));
    sizeLetters();
    this.#waveform.begin();
    this.#waveform.earlier = earlier;
    find("of").textContent = [chapter, title].filter(Boolean).join(" · ") || withoutMarks(text).slice(0, LONGEST_TITLE);
    if (utterance.live) for (const name of ["first", "factor", "audio", "chunks"]) find(`figure-${name}`).textContent = "–";
    find("told").textContent = "";
    // An utterance from the history has no figures of its arrival.
    query("#details .live").hidden = !utterance.live && !utterance.chunks;
    for (const id of PARTS) find(id).hidden = false;
    find("spoken").open = false;
    for (const piece of utterance.pieces) this.#waveform.add(piece, utterance.sampleRate);
    this.#words.add(utterance.spans);
    this.#foresee(utterance.live);
    this.#waveform.expected = this.foreseen;
    this.#stopDrawing();
    if (still) this.#shows(0);
    else this.#stopDrawing = eachFrame(() => this.#draw());
  }

  /** Show nothing: of what was asked for, nothing came. */
  hide() {
    this.#stopDrawing();
    this.#showWords(false);
    this.#utterance = null;
    for (const id of PARTS) find(id).hidden = true;
    this.say("");
  }

  /** Say what happens, to the eye and to a screen reader; seldom: not every change, as each is read aloud. */
  say(words, seldom = false) {
    clearTimeout(this.#saying);
    const wait = seldom ? this.#said + SELDOM_MS - performance.now() : 0;
    this.#saying = wait > 0 ? setTimeout(() => this.say(words, true), wait) : 0;
    if (this.#saying) return;
    tell(find("status"), words);
    if (seldom) this.#said = performance.now();
  }

  /** A chunk has come, and the spans it brought. */
  came(samples, spans) {
    this.#waveform.add(samples, this.#utterance.sampleRate);
    this.#words.add(spans);
    this.#foresee(true);
  }

  /** All that was asked for has come. */
  complete() {
    if (!this.#utterance) return;
    this.#foresee(false);
    if (this.#utterance.progress > 0) this.#paces.text = JSON.stringify({ ...this.#paces.object, [pacer(this.#utterance.choice)]: this.#pace });
  }

  /** Foresee the length of the whole by the pace of what has come; comes: more does. */
  #foresee(comes) {
    const { progress, seconds: length, begun, choice: { text, chapter, speed = 1 }, stopped, lost } = this.#utterance;
    const said = progress * text.length;
    const { pace, telling } = this.#known;
    this.#pace = (telling + said - begun.characters) / (telling / pace + (length - begun.seconds) * speed);
    // A chapter that was stopped is as long as it was, and so is what is offered.
    const more = comes || ((stopped || lost) && (chapter || !length));
    this.foreseen = length + (more ? (text.length - said) / (this.#pace * speed) : 0);
  }

  /** Seconds before a text in its chapter: those that came in the utterance before, the rest by the pace. */
  #earlierTo({ text, before = "", speed = 1 }) {
    const { choice, progress, seconds: length } = this.#utterance ?? { choice: { text: "" } };
    const shown = choice.before ?? "";
    if (!before || shown + choice.text !== before + text) return before.length / (this.#pace * speed);
    if (before.length <= shown.length) return this.#waveform.earlier * (before.length / shown.length);
    return this.#waveform.earlier + length + (before.length - shown.length - progress * choice.text.length) / (this.#pace * speed);
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
    this.#waveform.expected = this.foreseen;
    this.#shows(all ? this.#utterance.seconds : this.player.heard());
  }

  /** Show the final metadata: engine, voice, similarity to a recording, unused parameters. */
  told({ engine, voice, language, passages = [], unused = [], cloning, similarity, truncated }) {
    const by = (spoken) => t("told.by", { engine: spoken.engine, voice: nameOf(spoken.voice), language: languageName(spoken.language) });
    const own = engine ? [{ engine, voice: heardVoice(this.#utterance.choice, { voice, cloning }), language }] : [];
    const lines = [...new Set([...own, ...passages].map(by))];
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
    const { chunks, factor, seconds: length } = this.#utterance;
    if (chunks === 0) return;
    tell(find("figure-factor"), number(factor, 2));
    tell(find("figure-audio"), seconds(length));
    tell(find("figure-chunks"), number(chunks));
  }

  /** Show a position: the waveform, and the time beside it. */
  #shows(position) {
    const { seconds: length } = this.#utterance;
    const { earlier, expected } = this.#waveform;
    this.#waveform.expected += EASE * (this.foreseen - expected);
    this.#waveform.draw(position);
    const about = earlier || this.foreseen > length ? "~" : "";
    tell(find("clock"), `${clock(earlier + Math.min(position, length))} / ${about}${clock(earlier + Math.max(expected, length))}`);
  }

  #draw() {
    const position = this.player.heard();
    this.#words.show(position > 0 ? position : -1);
    if (this.foreseen > LONG_S && performance.now() < this.#drawn + EVERY_MS) return;
    this.#drawn = performance.now();
    this.#count();
    this.#shows(position);
  }
}

/** Key of a pace: a voice, or the server's own ones, in a kind of script. */
const pacer = ({ text, voice }) => `${voice} ${UNSPACED.test(text)}`;
