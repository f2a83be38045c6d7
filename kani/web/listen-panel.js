/** The second tab: what is said into the microphone, or recorded in a file, as text. */

import { copyText } from "./clipboard.js";
import { offerHeard } from "./heard-menu.js";
import { t } from "./i18n.js";
import { Listener } from "./listener.js";
import { Meter } from "./meter.js";
import { Microphone } from "./microphone.js";
import { ServerError } from "./server.js";
import { json, sentenceWords, srt, vtt } from "./subtitles.js";
import { offerUndo } from "./toast.js";
import { Transcript } from "./transcript.js";
import { saveFile } from "./wav.js";

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
  /** Paragraph that words are added to; null: the next one begins another. */
  #line = null;

  /**
   * @param {Server} server
   * @param {object} acts say(text, language): speak it, done once it was heard; use(text): take it as the text to
   *   speak; quiet(): nothing else is to be heard; voice(): name and hue of the voice that speaks; own(): choose the user's own
   */
  constructor(server, acts) {
    this.#server = server;
    this.#acts = acts;
    offerHeard(find("listen-language"));
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
    try {
      const listener = await Listener.begin(this.#server, find("listen-language").value, {
        word: (word) => this.#add(word),
        pause: () => this.#paused(),
        level: (level) => this.#meter.show(level),
        lost: (error) => {
          this.#complain(error.words);
          this.#ended();
        },
      });
      if (this.#unwanted) return await listener.finish();
      this.#listener = listener;
      find("listen").setAttribute("aria-pressed", "true");
      this.#invite();
      this.#say(t("listen.listening"));
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
    const listener = this.#listener;
    if (!listener) return;
    find("listen").disabled = true;
    this.#say(t("listen.finishing"));
    await listener.finish();
    if (this.#listener) this.#ended();
  }

  #ended() {
    this.#listener = null;
    this.#light(null);
    this.#meter.rest();
    find("listen").disabled = false;
    find("listen").removeAttribute("aria-pressed");
    this.#sayDone();
    this.#offer();
  }

  /** Show one more word, or sentence. */
  #add(word) {
    const { glued } = this.#transcript.add(word);
    if (!this.#line || this.#transcript.paragraphs.at(-1).length === 1) {
      const time = Object.assign(document.createElement("time"), { textContent: clock(word.start) });
      this.#line = Object.assign(document.createElement("p"), { dir: "auto" });
      const speaker = Object.assign(document.createElement("b"), { textContent: `${word.speaker}:` });
      this.#line.append(time, " ", ...(word.speaker ? [speaker, " "] : []));
      find("transcript").append(this.#line);
      find("transcript").hidden = false;
    }
    const span = Object.assign(document.createElement("span"), { textContent: word.text });
    this.#line.append(...(glued ? [span] : [" ", span]));
    this.#light(this.#listener && span);
    find("transcript").scrollTop = find("transcript").scrollHeight;
    if (this.#transcript.words.length === 1) this.#offer();
  }

  /** Light the word that was recognised last, which ends another's light; null for none. */
  #light(word) {
    find("transcript").querySelector(".now")?.classList.remove("now");
    word?.classList.add("now");
  }

  async #paused() {
    const text = this.#transcript.textOf(-1).trim();
    this.#transcript.pause();
    this.#line = null;
    const listener = this.#listener;
    if (!find("listen-repeat").checked || !listener || listener.deaf || !text) return;
    listener.deaf = true;
    this.#say(t("listen.repeating"));
    await this.#acts.say(text, find("listen-language").value);
    listener.deaf = false;
    if (this.#listener === listener) this.#say(t("listen.listening"));
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

  /** Transcribe a file, sentence by sentence. */
  async #transcribe(file) {
    if (!file || this.#upload) return;
    await this.finish();
    this.#complain("");
    this.#clear();
    const upload = (this.#upload = new AbortController());
    const bar = find("listen-progress");
    bar.removeAttribute("value");
    find("listen-under-way").hidden = false;
    this.#say(t("listen.transcribing", { name: file.name }));
    const length = await lengthOf(file);
    try {
      let named = false;
      const [language, speakers] = [find("listen-language").value, find("listen-speakers").checked];
      for await (const sentence of this.#server.transcribe(file, language, speakers, upload.signal)) {
        // The speakers are known once all was heard.
        if (sentence.speaker && !named) this.#clear();
        named = Boolean(sentence.speaker);
        const text = sentence.text.trim();
        if (text) {
          this.#add({ ...sentence, text });
          this.#sentenceWords.push(sentence.words);
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
    this.#line = null;
    find("transcript").replaceChildren();
    find("transcript").hidden = true;
    this.#offer();
  }

  /** Empty the transcript, which can be brought back for a while. */
  #clearWithUndo() {
    const before = [this.#transcript, this.#sentenceWords, [...find("transcript").childNodes]];
    this.#clear();
    offerUndo(t("listen.cleared"), () => {
      const [transcript, words, lines] = before;
      this.#transcript = transcript;
      this.#sentenceWords = words;
      this.#line = null;
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

  /** Show in which voice is repeated; and, below what was said, the words that are. */
  #offerRepeat() {
    const { name, hue } = this.#acts.voice();
    find("listen-voice").textContent = t("listen.voice", { voice: name });
    find("listen-face").style.setProperty("--hue", hue);
    if (find("listen-panel").hidden) return;
    const repeats = find("listen-repeat").checked;
    document.body.classList.toggle("repeats", repeats);
    find("compose-panel").hidden = !repeats;
  }

  #offer() {
    const some = this.#transcript.words.length > 0;
    find("listen-results").hidden = !some;
    find("listen-file").disabled = this.#upload !== null;
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

/** 83.4 as 1:23. */
const clock = (at) => `${Math.floor(at / 60)}:${String(Math.floor(at % 60)).padStart(2, "0")}`;

/** Seconds of a recording, NaN where this browser cannot tell. */
async function lengthOf(file) {
  const audio = new Audio();
  audio.preload = "metadata";
  audio.src = URL.createObjectURL(file);
  try {
    return await new Promise((resolve) => {
      audio.onloadedmetadata = () => resolve(audio.duration);
      audio.onerror = () => resolve(NaN);
    });
  } finally {
    URL.revokeObjectURL(audio.src);
  }
}
