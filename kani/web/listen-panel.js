/** The second tab: what is said into the microphone, or recorded in a file, as text. */

import { copyText } from "./clipboard.js";
import { offerHeard } from "./heard-menu.js";
import { clock, locale, t } from "./i18n.js";
import { Listener, RATE } from "./listener.js";
import { Meter } from "./meter.js";
import { Microphone } from "./microphone.js";
import { lengthOf, RecordingPlayer } from "./recording-player.js";
import { ServerError } from "./server.js";
import { divides, json, sentenceWords, srt, vtt } from "./subtitles.js";
import { offerUndo } from "./toast.js";
import { Transcript } from "./transcript.js";
import { saveFile, wavFile } from "./wav.js";

/** What is said is kept for this long, to be heard again: 173 MB. */
const KEPT_S = 3600;

const find = (id) => document.querySelector(`#${id}`);

export class ListenPanel {
  #server;
  #acts;
  #transcript = new Transcript();
  #listener = null;
  #beginning = false;
  /** Whether it was ended while the microphone was being opened. */
  #unwanted = false;
  #upload = null;
  #meter = new Meter(find("listen"));
  /** Words of each sentence of a file, [{word, start, end}]; empty of what was heard live, which has no sentences. */
  #sentenceWords = [];
  /** Text of the row that words are added to. */
  #line;
  /** The words that are shown: {text, element, start, end}, in seconds. */
  #shown = [];
  /** Seconds that were listened to. */
  #elapsed = 0;
  /** What was heard live, at RATE. */
  #samples = [];
  /** The recording of what is shown, a Blob; null for none. */
  #recording = null;
  #player;

  /**
   * @param {Server} server
   * @param {object} acts say(text, language): speak it, done once it was heard, with what was wrong, in words; place(): the
   *   code point of it that is heard now; use(text): take it as the text to speak; quiet(): nothing else is to be heard;
   *   voice(): name and hue of the voice that speaks; own(): choose the user's own
   */
  constructor(server, acts) {
    this.#server = server;
    this.#acts = acts;
    this.#player = new RecordingPlayer({ light: (word) => this.#light(word), quiet: acts.quiet });
    offerHeard(find("listen-language"), t("listen.auto"));
    find("listen").disabled = !Microphone.possible;
    // What cannot be is no error.
    this.#say(t(Microphone.possible ? "listen.first" : "clone.insecure"));
    find("listen-repeat").addEventListener("change", () => this.#offerRepeat());
    find("listen-own").addEventListener("click", () => {
      find("listen-repeat").checked = true;
      this.#offerRepeat();
      this.#acts.own();
    });
    find("voice").addEventListener("chosen", () => this.#offerRepeat());
    this.#offerRepeat();
    find("listen").addEventListener("click", () => (this.#listener ? this.finish() : this.#begin()));
    find("listen-file").addEventListener("change", ({ target }) => this.#transcribe(target.files[0]));
    find("listen-sample").addEventListener("click", () => this.#trySample());
    find("transcript").addEventListener("click", ({ target }) => this.#playFrom(target));
    for (const zone of ["listen-drop", "recording-card"]) this.#takeDrops(find(zone));
    find("listen-cancel").addEventListener("click", () => this.#upload?.abort());
    find("listen-use").addEventListener("click", () => this.#acts.use(this.#transcript.text));
    find("listen-copy").addEventListener("click", () => this.#copy());
    find("listen-clear").addEventListener("click", () => this.#clearWithUndo());
    for (const kind of ["srt", "vtt", "json", "txt"]) find(`listen-${kind}`).addEventListener("click", () => this.#save(kind));
  }

  /** The panel is shown again. */
  show() {
    this.#offerRepeat();
  }

  async #begin() {
    if (this.#beginning) return;
    this.#beginning = true;
    this.#unwanted = false;
    this.#complain("");
    this.#acts.quiet();
    this.#clear();
    this.#elapsed = 0;
    try {
      const listener = await Listener.begin(this.#server, find("listen-language").value, {
        word: (word) => this.#add(word),
        pause: () => this.#paused(),
        level: (level) => this.#meter.show(level),
        sent: (samples) => {
          this.#keep(samples);
          this.#showElapsed(this.#elapsed + samples.length / RATE);
        },
        lost: (error) => {
          this.#complain(error.words);
          this.#ended();
        },
      });
      if (this.#unwanted) return await listener.finish();
      this.#listener = listener;
      find("listen").setAttribute("aria-pressed", "true");
      this.#offer();
      this.#say(t("listen.listening"));
      this.#showElapsed(this.#elapsed);
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      this.#complain(t("clone.microphone"));
    } finally {
      this.#beginning = false;
    }
  }

  /** End listening; the last words still come. A microphone that is still being opened is closed again. */
  async finish() {
    this.#unwanted = true;
    this.hush();
    const listener = this.#listener;
    if (!listener) return;
    if (listener.deaf) this.#acts.quiet();
    find("listen").disabled = true;
    this.#say(t("listen.finishing"));
    await listener.finish();
    if (this.#listener) this.#ended();
  }

  #ended() {
    this.#listener = null;
    this.#showElapsed(0);
    this.#light(null);
    this.#meter.rest();
    find("listen").disabled = false;
    find("listen").removeAttribute("aria-pressed");
    this.#recording = wavFile(this.#samples, RATE);
    this.#samples = [];
    this.#sayDone();
    this.#offer();
  }

  /** Keep what is recognised, as far as there is room for it. */
  #keep(samples) {
    if (this.#samples.length * samples.length > KEPT_S * RATE) return;
    this.#samples.push(Int16Array.from(samples, (sample) => 32767 * sample));
  }

  /** Stop playing the recording. */
  hush() {
    this.#player.pause();
  }

  /** Show for how long it has been listening; not to a screen reader, which would say each second. */
  #showElapsed(seconds) {
    this.#elapsed = seconds;
    const words = this.#listener ? clock(Math.floor(seconds)) : "";
    if (find("listen-elapsed").textContent !== words) find("listen-elapsed").textContent = words;
  }

  /** Play the recording from a word on, or from the first one of a row beside its text. */
  #playFrom(target) {
    const row = target.localName === "time" ? target.parentElement : target;
    const word = this.#shown.find(({ element }) => element === target || element.parentElement.parentElement === row);
    if (word && this.#player.ready && window.getSelection().isCollapsed) this.#player.playFrom(word.start);
  }

  /** Begin a row for a sentence, with its start time; speaker: name at the beginning of a turn. */
  #beginRow(start, speaker) {
    const time = Object.assign(document.createElement("time"), { textContent: clock(start) });
    const name = Object.assign(document.createElement("b"), { dir: "auto", textContent: `${speaker}:` });
    const row = Object.assign(document.createElement("div"), { className: "sentence" });
    this.#line = document.createElement("p");
    this.#line.append(...(speaker ? [name, " "] : []));
    row.append(time, this.#line);
    find("transcript").append(row);
    find("transcript").hidden = false;
  }

  /** Show one more word, or a sentence of some: {word, start, end}. */
  #add(word, words) {
    const said = sentenceWords(this.#transcript.add(word), words);
    if (this.#transcript.paragraphs.at(-1).length === 1) this.#beginRow(word.start, word.speaker);
    for (const one of said) {
      if (this.#line.querySelector("span") && divides(this.#shown.at(-1), one)) this.#beginRow(one.start);
      const element = Object.assign(document.createElement("span"), { textContent: one.text });
      this.#line.append(...(one.glued ? [element] : [" ", element]));
      this.#shown.push({ ...one, element });
    }
    this.#light(this.#listener && this.#shown.at(-1).element);
    find("transcript").scrollTop = find("transcript").scrollHeight;
    if (this.#transcript.words.length === 1) this.#offer();
  }

  /** Light a word, which ends another's light; null for none. */
  #light(word) {
    const box = find("transcript");
    const lit = box.querySelector(".now");
    if (lit === word) return;
    lit?.classList.remove("now");
    if (!word) return;
    word.classList.add("now");
    const { offsetTop: top, offsetHeight: height } = word;
    if (top < box.scrollTop || top + 2 * height > box.scrollTop + box.clientHeight) box.scrollTop = top - height;
  }

  async #paused() {
    const text = this.#transcript.textOf(-1).trim();
    this.#transcript.pause();
    const listener = this.#listener;
    if (!find("listen-repeat").checked || !listener || listener.deaf || !text) return;
    listener.deaf = true;
    this.#say(t("listen.repeating"));
    const repeating = this.#acts.say(text, find("listen-language").value);
    const stop = this.#follow(this.#transcript.paragraphs.at(-1));
    this.#complain(await repeating);
    stop();
    listener.deaf = false;
    if (this.#listener === listener) this.#say(t("listen.listening"));
  }

  /** Light each word of a paragraph, the last one that is shown, while it is repeated; returns what ends that. */
  #follow(paragraph) {
    let length = 0;
    const words = this.#shown.slice(-paragraph.length).map(({ element }, n) => {
      if (n > 0 && !paragraph[n].glued) length++;
      const from = length;
      length += [...paragraph[n].text].length;
      return { element, from };
    });
    let frame = 0;
    const show = () => {
      const place = this.#acts.place();
      this.#light(words.findLast(({ from }) => from <= place)?.element ?? null);
      frame = requestAnimationFrame(show);
    };
    show();
    return () => {
      cancelAnimationFrame(frame);
      this.#light(null);
    };
  }

  #takeDrops(zone) {
    zone.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      this.#transcribe(event.dataTransfer.files[0]);
    });
  }

  /** Transcribe a few sentences that the server speaks: a sample that needs no microphone. */
  async #trySample() {
    this.#complain("");
    this.#say(t("status.asked"));
    find("listen-sample").disabled = true;
    try {
      const asked = { model: "tts-1", input: t("text.first"), voice: "alloy", language: locale };
      const answer = await this.#server.post("v1/audio/speech", asked);
      await this.#transcribe(new File([await answer.blob()], "sample.mp3"));
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.#say("");
      this.#complain(error.words);
    } finally {
      find("listen-sample").disabled = false;
    }
  }

  /** Transcribe a file, sentence by sentence. */
  async #transcribe(file) {
    if (!file || this.#upload) return;
    await this.finish();
    this.#complain("");
    const upload = (this.#upload = new AbortController());
    this.#clear();
    const bar = find("listen-progress");
    bar.removeAttribute("value");
    find("listen-under-way").hidden = false;
    this.#say(t("listen.transcribing", { name: file.name }));
    const length = await lengthOf(file);
    try {
      let named = false;
      const heard = [];
      const [language, speakers] = [find("listen-language").value, find("listen-speakers").checked];
      for await (const sentence of this.#server.transcribe(file, language, speakers, upload.signal)) {
        // The speakers are known once all was heard.
        if (sentence.speaker && !named) this.#clear();
        named = Boolean(sentence.speaker);
        const text = sentence.text.trim();
        heard.push(...(sentence.words ?? []));
        // A turn of a speaker comes without its words, which were heard before.
        const words = sentence.words ?? heard.filter(({ start }) => sentence.start <= start && start < sentence.end);
        if (text) {
          this.#add({ ...sentence, text }, words);
          this.#sentenceWords.push(words);
        }
        if (length > 0) bar.value = Math.min(1, sentence.end / length);
      }
      this.#sayDone();
    } catch (error) {
      if (error instanceof ServerError) this.#complain(error.words);
      else if (!upload.signal.aborted) throw error;
      this.#say("");
    } finally {
      this.#upload = null;
      this.#recording = file;
      find("listen-under-way").hidden = true;
      find("listen-file").value = "";
      this.#offer();
    }
  }

  #save(kind) {
    const words = this.#transcript.words.flatMap((said, n) => sentenceWords(said, this.#sentenceWords[n]));
    const files = {
      srt: [() => srt(words), "application/x-subrip"],
      vtt: [() => vtt(words), "text/vtt"],
      json: [() => json(words), "application/json"],
      txt: [() => `${this.#transcript.dialogue}\n`, "text/plain"],
    };
    const [write, type] = files[kind];
    saveFile(new Blob([write()], { type }), `kani-transcript.${kind}`);
  }

  async #copy() {
    this.#say(await copyText(find("transcript"), this.#transcript.dialogue));
  }

  #clear() {
    this.#transcript = new Transcript();
    this.#sentenceWords = [];
    this.#shown = [];
    this.#recording = null;
    find("transcript").replaceChildren();
    find("transcript").hidden = true;
    this.#offer();
  }

  /** Empty the transcript, which can be brought back for a while. */
  #clearWithUndo() {
    const before = [this.#transcript, this.#sentenceWords, this.#shown, this.#recording, [...find("transcript").childNodes]];
    this.#clear();
    offerUndo(t("listen.cleared"), () => {
      let lines;
      [this.#transcript, this.#sentenceWords, this.#shown, this.#recording, lines] = before;
      find("transcript").replaceChildren(...lines);
      find("transcript").hidden = false;
      this.#offer();
    });
    find("toast-undo").focus();
  }

  /** Say what the round button does. */
  #invite() {
    const name = this.#listener ? "listen.stop" : this.#transcript.words.length ? "listen.again" : "listen.start";
    find("listen-text").textContent = find("listen-invitation").textContent = t(name);
  }

  /** Show in which voice is repeated. */
  #offerRepeat() {
    const { name, hue } = this.#acts.voice();
    find("listen-voice").textContent = t("listen.voice", { voice: name });
    find("listen-face").style.setProperty("--hue", hue);
  }

  /** Show what can be done now: nothing with a transcript before it is whole. */
  #offer() {
    const some = this.#transcript.words.length > 0;
    const done = some && !this.#listener && !this.#upload;
    find("listen-results").hidden = !done;
    find("listen-sample").hidden = some || this.#listener !== null || this.#upload !== null;
    find("listen-file").disabled = this.#upload !== null;
    if (done) this.#player.take(this.#recording, this.#shown);
    else this.#player.drop();
    this.#invite();
  }

  #say(words) {
    find("listen-status").textContent = words;
    find("listen-status").classList.remove("hidden");
  }

  /** Say to a screen reader that all was heard, which the eye sees by the words. */
  #sayDone() {
    const some = this.#transcript.words.length > 0;
    this.#say(t(some ? "listen.done" : "listen.nothing"));
    find("listen-status").classList.toggle("hidden", some);
  }

  #complain(words) {
    find("listen-problem").textContent = words;
  }
}
