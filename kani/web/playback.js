/** One utterance at a time: asked for, played as it comes, stopped, kept, and played again. */

import { compose } from "./compose.js";
import { connection } from "./connection.js";
import { find } from "./element.js";
import { complain, explain } from "./failures.js";
import { seconds, t } from "./i18n.js";
import { keepPlace, history, places } from "./history.js";
import { Player } from "./player.js";
import { sentenceAfter, sentenceAt } from "./sentences.js";
import { sources } from "./sources.js";
import { Stage } from "./stage.js";
import { newId } from "./storage.js";
import { MarkError, speechParts, turnParts } from "./text-parts.js";
import { Utterance } from "./utterance.js";
import { heardVoice, nameOf } from "./voices.js";
import { isLong, isMarked, placeAt, TAG } from "./words.js";

/** A wait for more audio that is longer is told. */
const LONG_WAIT_MS = 1000;
/** Speech that was stopped earlier than that is a scrap. */
const SCRAP_S = 60;
const PLACE_EVERY_MS = 500;

class Playback {
  /**
   * keep(utterance, comes): one with some audio, comes: and more of it;
   * sounds(): its first sound is heard; speak(): the text of the form is to be spoken; book(): the one that is open, if there is one; changed(): its buttons may do other things now.
   * @type {Record<string, any>}
   */
  acts = {};
  box = "stage";
  player = new Player((kind) => this.#happened(kind));
  stage = new Stage(this.player, (position, rests) => this.playFrom(position, rests), (...place) => this.#readFrom(...place));
  /** The utterance on the stage, null for none; asked: its answer is not complete yet. */
  shown = null;
  asked = false;
  /** The choice when it was asked for, as JSON. */
  #chosen = "";
  /** Timer that tells a long wait for more audio. */
  #drought = 0;
  /** Seconds from which on what comes is kept next, as the page may break: with all that is written five times its length. */
  #keptNext = 1;
  /** Called when nothing is asked for nor heard. */
  #waiting = [];
  /** The character at which the connection broke. */
  #brokeAt = -1;

  constructor() {
    sources.all.push(this);
    setInterval(() => this.player.busy && this.#keepPlace(), PLACE_EVERY_MS);
  }

  /** True if something is waited for, heard or paused. */
  get busy() {
    return this.asked || this.player.busy;
  }

  /** Code point of the text that is heard now, -1 before the first one; where a text goes on in another manner, that place until it is heard. */
  get place() {
    const at = this.player.heard();
    const last = this.shown?.spans.findLast(([, , from]) => at > 0 && from <= at)?.[0] ?? -1;
    return last < 0 || at < this.shown.begun.seconds ? last : Math.max(last, this.shown.begun.characters);
  }

  /** True while a text is waited for, heard or rests. */
  has = (text) => this.busy && wholeOf(this.shown.choice) === text;

  /** The character of the text at which the sentence begins that is heard; the first one that was asked for, before any is. */
  get sentence() {
    const { text, before = "" } = this.shown.choice;
    const heard = [...text].slice(0, Math.max(0, this.place)).join("");
    return this.place < 0 ? before.length : sentenceAt(before + text, before.length + Math.min(heard.length, text.length - 1));
  }

  /** The part of a text that is still to be heard, from its sentence on, and the part before that; neither of a short one, which is heard anew, or one with marks or tags. */
  rest(text, from = this.sentence) {
    if (!isLong(text) || isMarked(text) || text.search(TAG) >= 0) return {};
    return { text: text.slice(from), before: text.slice(0, from) };
  }

  /** Remember where a long text is heard: the character of its sentence. */
  #keepPlace() {
    const { shown } = this;
    if (this.place < 0 || shown.choice.book || !isLong(wholeOf(shown.choice))) return;
    shown.at = this.sentence;
    keepPlace(shown.id, shown.at);
    if (shown.follows) keepPlace(shown.follows);
  }

  /** Show the text of the form where it was left, if it is a long one: before a reload, or before others were heard. */
  async reopen() {
    const { choice } = compose;
    const left = (await history.list()).find((entry) => entry.choice && wholeOf(entry.choice) === choice.text && places.object[entry.id] > 0);
    const rest = left ? this.rest(choice.text, places.object[left.id]) : {};
    if (rest.before && !this.busy && compose.choice.text === choice.text) this.offer({ ...choice, ...rest }, left.id);
  }

  /** The rest of the shown text that does not come by itself, in the manner of the form; null for none. */
  get offered() {
    const { samples, stopped, lost, choice, at } = this.shown ?? {};
    if (this.busy || !(stopped || lost)) return null;
    if (!samples) return { ...choice, ...compose.choice, text: choice.text, before: choice.before };
    const rest = wholeOf(choice) === compose.choice.text ? this.rest(compose.choice.text, at) : {};
    return rest.text ? { ...choice, ...compose.choice, ...rest } : null;
  }

  /** The second at which what has come is heard on: that of the sentence at which it was stopped; 0 for its beginning. */
  get #left() {
    const { at = 0, choice, spans } = this.shown;
    const before = [...wholeOf(choice).slice(choice.before?.length ?? 0, at)].length;
    return at > 0 ? (spans.find(([from]) => from >= before)?.[2] ?? 0) : 0;
  }

  get sounds() {
    return this.player.busy && !this.player.paused;
  }

  get rests() {
    return this.player.paused || Boolean(this.goesOn);
  }

  /** The name of what its button does once nothing is heard nor rests, where that is more than to play it again; "" for that. */
  get goesOn() {
    if (this.busy || !this.shown) return "";
    return this.acts.book()?.goesOn() || (this.offered || this.#left > 0 ? "resume" : "");
  }

  /** Facts for a lock screen. */
  get told() {
    const { choice, result } = this.shown;
    return { title: this.stage.title, artist: nameOf(heardVoice(choice, result)) || "Kani", ...this.acts.book()?.told(choice) };
  }

  /** Play on, or what is left of it; without that, play it again. */
  play() {
    if (this.differs) this.#speakRest();
    else if (this.player.busy) {
      sources.begin(this);
      this.#rest(false);
    } else if (this.acts.book()?.goesOn()) this.acts.speak();
    else if (this.offered) this.speak(this.offered);
    else if (this.shown) {
      complain("");
      this.#take(this.shown);
      this.#again(this.#left);
    }
  }

  /** Rest; what repeats what was said is over then. */
  pause() {
    if (this.shown?.choice.kept === false) this.stop();
    else if (this.player.busy) this.#rest(true);
  }

  turn = (by) => this.acts.book()?.turn(by);

  step = (key) => this.stage.step(key);

  fade = (share) => (this.player.volume = share * this.stage.volume);

  get position() {
    return this.player.heard();
  }

  get length() {
    return this.shown?.seconds ?? NaN;
  }

  /** True if another manner was chosen since that text was asked for which is heard, or rests. */
  get differs() {
    return this.has(compose.choice.text) && JSON.stringify(compose.choice) !== this.#chosen;
  }

  /** Resolve when nothing is asked for nor heard. */
  ended = () => (this.busy ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve());

  /** Show a text that can be heard. @param {string} id of what was heard of it */
  offer(choice, id = newId()) {
    sources.current ??= this;
    this.#take(Object.assign(new Utterance(id, choice, 0), { live: false, stopped: true }));
    this.stage.begin(this.shown, true);
    this.#changed();
  }

  /** Have another utterance on the stage. */
  #take(utterance) {
    this.shown = utterance;
    this.#chosen = JSON.stringify(compose.choice);
  }

  /** Ask for what was chosen, and play it. */
  speak(choice) {
    const clicked = performance.now();
    const params = compose.params(choice);
    const turns = this.acts.book()?.turnsOf(params.text) ?? [];
    complain("");
    const parts = partsOf(params, turns);
    if (!parts.length) return;
    this.#brokeAt = -1;
    this.stop();
    sources.begin(this);
    const utterance = this.#begin(choice, clicked);
    this.#take(utterance);
    this.asked = true;
    this.#keptNext = 1;
    utterance.inTurns = turns.length > 0;
    // First what takes time elsewhere; the page is drawn meanwhile.
    this.#ask(utterance, params, parts);
    // Browsers allow no sound before a click.
    this.player.begin(utterance.seconds, () => this.stage.foreseen - utterance.begun.seconds);
    this.stage.begin(utterance);
    this.connected(connection.ready);
    this.#changed();
  }

  /** The next utterance: it goes on after what was heard of the same text, and replaces a scrap of that, or a short text's earlier try. */
  #begin(choice, clicked) {
    const { shown } = this;
    const same = shown && wholeOf(shown.choice) === wholeOf(choice);
    const said = same ? [...(choice.before ?? "").slice(shown.choice.before?.length)].length : 0;
    const goesOn = said > 0 && (said === shown.begun.characters || shown.spans.some(([start]) => start >= said));
    const utterance = new Utterance(newId(), goesOn ? { ...choice, text: shown.choice.text, before: shown.choice.before } : choice, clicked);
    if (same) utterance.follows = shown.id;
    if (goesOn) utterance.goOn(shown, said);
    const scrap = goesOn ? shown.broke || (shown.stopped && shown.seconds < SCRAP_S) : same && !isLong(choice.text) && (shown.broke || (shown.choice.tries && choice.tries));
    if (scrap) utterance.replaces = shown.live && !shown.chunks ? shown.replaces : shown.id;
    return utterance;
  }

  /** Say what is waited for; ready: whether the server takes requests now. */
  connected(ready) {
    if (this.asked && !this.shown.chunks) this.stage.say(t(ready ? "status.asked" : "status.waiting"));
  }

  /** Silence at once, and no more work for the server. */
  stop() {
    sources.forget(this);
    if (!this.busy) return;
    this.acts.book()?.keepHeard();
    this.#keepPlace();
    const heard = this.player.busy;
    if (this.asked) {
      connection.cancel(this.shown.request);
      this.shown.stopped = true;
      this.#arrived();
    }
    this.stage.end(false);
    this.player.stop();
    if (heard || this.shown.samples === 0) this.stage.say(t("status.stopped"));
    this.#changed();
  }

  #rest(rests) {
    this.player.pause(rests);
    this.#sounds();
    this.#changed();
  }

  /** Speak the text of the form from the sentence on that was heard last. */
  #speakRest = () => this.speak({ ...compose.choice, ...this.rest(compose.choice.text), ...this.acts.book()?.next });

  /** Ask for the rest of a text that is still there, and broke off with the connection; not where it broke off before: that may have been the text's fault. Return whether it comes. */
  #askAgain() {
    const { broke, choice } = this.shown;
    const { text } = compose.choice;
    const at = broke && wholeOf(choice) === text ? this.sentence : this.#brokeAt;
    if (at === this.#brokeAt || (isLong(text) && !this.rest(text).text)) return false;
    this.#speakRest();
    this.#brokeAt = at;
    return true;
  }

  /** Play something that is kept; pieces: its samples. */
  replay({ id, choice, spans, sampleRate, result, stopped, lost }, pieces) {
    this.stop();
    complain("");
    this.#take(new Utterance(id, choice, performance.now()));
    Object.assign(this.shown, { spans, sampleRate, result, stopped, lost, pieces, at: places.object[id] ?? 0 });
    this.shown.samples = pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.shown.live = false;
    const rest = stopped || lost ? this.rest(wholeOf(choice), this.shown.at) : {};
    if (rest.before && connection.ready) this.speak({ ...choice, ...rest });
    else this.#again(this.#left);
  }

  /** Go to a second of what is shown, whether it is heard, still comes, or has ended; rests: it is heard once it is played on. */
  playFrom(position, rests = false) {
    if (!this.shown?.samples) return;
    if (!rests) sources.begin(this);
    if (this.busy) this.player.playFrom(this.shown, position, !this.asked, rests);
    else this.#again(position);
    this.#changed();
  }

  /** Read a long text of the form, or a chapter, from the sentence on that holds a character of it, or is at a point of the window; return false if it is another text, or its audio came and will do. moves: from the place that is heard, ahead by a second at least; what rests goes on resting. */
  #readFrom(given, came, moves = false) {
    if (came && !this.differs) return false;
    const { text } = compose.choice;
    const book = this.acts.book()?.reads(compose.choice) && this.acts.book();
    if (wholeOf(this.shown.choice) !== text || find("words").textContent !== text || !(book || this.rest(text).text)) return false;
    const aloud = !moves || this.sounds;
    const place = moves ? given : placeAt(find("words"), given);
    let from = sentenceAt(text, Math.min(place, text.length - 1));
    const heard = (this.shown.choice.before ?? "").length + Math.max(0, this.place);
    if (moves && place > heard && from < heard + this.stage.pace) from = sentenceAfter(text, from);
    if (from === text.length) return false;
    this.stop();
    const rest = { ...compose.choice, ...this.rest(text, from) };
    if (book) book.readFrom(from, aloud);
    else if (aloud) this.speak(rest);
    else this.offer(rest, this.shown.id);
    return true;
  }

  /** Play what is shown, with nothing more to come, from a second on. */
  #again(position) {
    this.shown.live = false;
    sources.begin(this);
    this.player.playFrom(this.shown, position, true);
    this.stage.begin(this.shown);
    this.stage.told(this.shown.result ?? {});
    this.#changed();
  }

  /** Ask for the first of ``parts``, and for each of the others once the one before it has come. */
  #ask(utterance, params, parts) {
    const [{ text, start = 0, voice = "", pause = 0 }, ...rest] = parts;
    utterance.request = newId();
    utterance.beginPart(start, pause);
    const asked = { ...params, text, voice: voice || params.voice };
    connection.speak(utterance.request, asked, this.#answers(utterance, (result) => {
      utterance.addResult(result);
      if (rest.length === 0) return false;
      this.#ask(utterance, compose.following(params, result.language, utterance.inTurns || Boolean(rest.at(-1).voice)), rest);
      return true;
    }));
  }

  /** Handlers of the server's answers; goesOn: asks for the next part, if there is one. */
  #answers(utterance, goesOn) {
    return {
      progress: ({ state, position: place }) => state === "queued" && place && this.stage.say(t("status.queue", { place }), true),
      frame: (frame) => {
        const { samples, spans } = utterance.add(frame, performance.now());
        this.player.push(samples.slice(), utterance.sampleRate);
        this.stage.came(samples, spans);
        if (utterance.chunks === 1) this.#changed();
        if (utterance.seconds < this.#keptNext) return;
        this.#keptNext = 1.25 * utterance.seconds;
        this.acts.keep(utterance, true);
      },
      complete: (result) => {
        if (goesOn(result)) return;
        this.stage.told(utterance.result);
        this.#ends();
      },
      error: (error) => {
        if (utterance.samples === 0) return this.#fails(explain(error));
        complain(explain(error));
        // The audio that came is played to its end, as after a broken connection.
        this.#ends({ lost: true });
      },
      lost: () => {
        utterance.broke = true;
        this.#ends({ lost: true });
      },
    };
  }

  /** Nothing came, and nothing will. */
  #fails(words) {
    complain(words);
    this.#arrived();
    this.player.stop();
    this.stage.hide();
    this.#changed();
  }

  /** Nothing more comes; what came is heard to its end. */
  #ends({ lost = false } = {}) {
    this.shown.lost = lost;
    this.#arrived();
    if (!this.player.silent) this.player.finish();
    else this.#heardOut();
  }

  /** Nothing more comes: what came is kept. */
  #arrived() {
    this.asked = false;
    clearTimeout(this.#drought);
    this.stage.complete();
    if (this.shown.chunks) this.acts.keep(this.shown, false);
    this.#changed();
  }

  /** Playback of the available audio has ended, or is impossible. */
  #heardOut() {
    const { lost, stopped, seconds: length } = this.shown;
    this.stage.end(!lost);
    this.stage.say(t(lost ? "status.lost" : stopped ? "status.stopped" : "status.done", { length: seconds(length) }));
    if (lost && this.#askAgain()) return;
    // Of what was stopped earlier only the beginning was heard.
    if (lost || stopped) this.#keepPlace();
    else {
      this.shown.at = 0;
      for (const id of [this.shown.id, this.shown.follows]) keepPlace(id);
    }
    if (!lost) this.acts.book()?.heard(this.shown);
    this.#changed();
  }

  /** Handle the player's events of the stream that plays. */
  #happened(kind) {
    if (kind === "sound") {
      this.acts.sounds();
      if (this.shown.live) this.stage.sounds(performance.now() - this.shown.askedAt + 1000 * this.player.latency);
      this.#sounds();
    }
    if (kind === "dry" && this.asked) this.#drought = setTimeout(() => this.stage.say(t("status.slow")), LONG_WAIT_MS);
    if (kind === "playing") this.#sounds();
    if (kind === "silent") complain(t("problem.player"));
    if ((kind === "ended" || kind === "silent") && !this.asked) this.#heardOut();
  }

  /** Say that something is heard, or rests. */
  #sounds() {
    clearTimeout(this.#drought);
    this.stage.say(t(this.player.paused ? "status.paused" : this.shown.live ? "status.speaking" : "status.replay"));
  }

  #changed() {
    this.acts.changed();
    sources.changed();
    const { choice, result, live, inTurns } = this.shown;
    if (live && result && !inTurns) compose.spoken({ ...choice, text: wholeOf(choice) }, result);
    if (!this.busy) for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** The parts that are asked for one after the other; none if a mark is wrong, which is told. */
function partsOf({ text, speed = 1 }, turns) {
  const { longest, speaks } = compose;
  if (turns.length) return turnParts(text, longest, speed, turns);
  if (text.length <= longest && !isMarked(text)) return [{ text }];
  try {
    return speechParts(text, longest, speed, speaks);
  } catch (error) {
    if (!(error instanceof MarkError)) throw error;
    complain(t(`problem.${error.code}`, { ...error }));
    return [];
  }
}

/** The text of a choice, with what is before it. */
const wholeOf = ({ text, before = "" }) => before + text;

/** The playback of this page. */
export const playback = new Playback();
