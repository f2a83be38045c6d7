/** The second tab: what is said into the microphone, or recorded in a file, as text. */

import { copied } from "./clipboard.js";
import { find, style, takeDrops, tell } from "./element.js";
import { expected } from "./failures.js";
import { offerHeard } from "./heard-languages.js";
import { history } from "./history.js";
import { clock, locale, t, translate } from "./i18n.js";
import { handleRepeat } from "./listen-repeat.js";
import { Listener, RATE } from "./listener.js";
import { meterOf } from "./meter.js";
import { Microphone } from "./microphone.js";
import { lengthOf, RecordingPlayer } from "./recording-player.js";
import { inWords, server, ServerError } from "./server.js";
import { quiet, silence } from "./sources.js";
import { Draft, Growth, KEPT_WITHIN_MS } from "./storage.js";
import { timesFile } from "./subtitles.js";
import { offerUndo } from "./toast.js";
import { reachOf, Transcript } from "./transcript.js";
import { TranscriptView } from "./transcript-view.js";
import { saveFile, wavFile } from "./wav.js";

/** What is said is kept for this long, to be heard again: 173 MB. */
const KEPT_S = 3600;

/** What the round button does while something is under way: a microphone opens, the last words still come. The other states are "empty", "done" and "failed". */
const ROUND = { opening: "listen.start", recording: "listen.stop", finishing: "listen.stop", transcribing: "stop" };

await style("listen.css");

export class ListenPanel {
  #state = "empty";
  #transcript = new Transcript();
  #view = new TranscriptView({
    play: (at) => this.#player.ready && this.#player.playFrom(at),
    changed: () => {
      this.#draft.object = { id: this.#transcript.id };
      this.#keep(this.#transcript);
      if (!this.#transcript.rows.length) this.#become("empty", t("listen.first"));
    },
    typed: (row, text) => (this.#draft.object = { id: this.#transcript.id, row, text }),
    lost: (transcript, rows, told) => offerUndo(told, () => {
      transcript.rows = rows;
      this.#keep(transcript);
      if (this.#transcript.id === transcript.id) this.#show(transcript);
    }, "listen-edit"),
  });
  /** What is under way: a Listener while it records, an AbortController while it transcribes. */
  #listener = null;
  #upload = null;
  /** What was heard live, at RATE. */
  #samples = [];
  #meter = meterOf(find("listen"));
  #player = new RecordingPlayer((at) => this.#view.lightAt(at));
  #repeat;
  /** Id of the transcript that is shown, the number of a row that is corrected, and its text; for a reload. */
  #draft = new Draft("kani.listen");
  /** Timer of when it is kept next; and when its recording is to be. */
  #keeping = 0;
  #growth = new Growth();
  /** The transcript of the file that is heard, and of those that wait for it; done when the first one is. */
  #files = [];
  #work = null;

  /** @param {(text: string) => void} use takes a text as the one to speak @param {() => void} own chooses the user's own voice */
  constructor(use, own) {
    translate(find("listen-panel"));
    this.#repeat = handleRepeat(own, this.#view);
    offerHeard(find("listen-language"), t("listen.auto"));
    find("listen").addEventListener("click", () => {
      if (this.#state === "recording" || this.#state === "transcribing") this.finish();
      else if (!(this.#state in ROUND)) this.#record();
    });
    find("listen-file").addEventListener("change", () => [...find("listen-file").files].forEach((file) => this.#take(file)));
    find("listen-sample").addEventListener("click", () => this.#trySample());
    takeDrops(find("listen-drop"), (file) => this.#take(file));
    find("listen-use").addEventListener("click", () => use(this.#transcript.text));
    find("listen-copy").addEventListener("click", async () => this.#say(t(`code.${await copied(find("transcript"), this.#transcript.dialogue)}`)));
    find("listen-clear").addEventListener("click", () => this.#show(new Transcript()));
    find("listen-rest").addEventListener("click", () => this.#takeAgain(this.#transcript));
    find("listen-edit").addEventListener("click", () => this.#edit(find("listen-edit").ariaPressed !== "true"));
    const search = find("listen-search");
    search.addEventListener("input", () => this.#view.search(search.value));
    search.addEventListener("keydown", ({ key }) => {
      const at = key === "Enter" ? this.#view.search(search.value) : NaN;
      if (!Number.isNaN(at) && this.#player.ready) this.#player.playFrom(at);
    });
    for (const kind of ["srt", "vtt", "json", "txt"]) find(`listen-${kind}`).addEventListener("click", () => this.#save(kind));
    this.#become("empty");
    // What cannot be is no error.
    this.#say(t(Microphone.possible ? "listen.first" : "clone.insecure"));
    this.#reopen();
  }

  /** Show a transcript of the history; what is under way is ended, and kept. */
  async open(entry) {
    if (this.#state in ROUND && entry.id === this.#transcript.id) return;
    await this.finish();
    this.#show(Transcript.from(entry));
  }

  /** End listening; the last words still come. A microphone that is still being opened is closed again. */
  async finish() {
    this.#player.stop();
    if (this.#state === "opening") this.#become("empty");
    if (this.#state === "transcribing") {
      const files = this.#work ? [...this.#files] : [];
      this.#files.splice(1);
      this.#upload.abort();
      await this.#work;
      const names = files.map(({ name }) => name).join(", ");
      if (names) offerUndo(t("listen.ended", { names }), () => files.forEach((file) => this.#takeAgain(file)), "listen");
    }
    if (this.#state !== "recording") return;
    if (this.#listener.deaf) silence();
    this.#become("finishing", t("listen.finishing"));
    await this.#listener.finish();
    if (this.#listener) this.#recorded();
  }

  /** A file that is transcribed goes on without the panel. */
  leave() {
    if (this.#state !== "transcribing") this.finish();
    this.#player.stop();
  }

  /** Show what was shown before a reload, with what was typed into it. */
  async #reopen() {
    const { id, row, text } = this.#draft.object;
    const entry = id && (await history.find(id));
    if (!entry || this.#state !== "empty") return;
    const transcript = Transcript.from(entry);
    if (text) transcript.correct(transcript.rows[row], text);
    this.#show(transcript);
    this.#keep(transcript);
  }

  /** Show another transcript. The one that was shown stays in the history, and can be brought back. */
  #show(transcript, state = transcript.rows.length ? "done" : "empty", told = state === "empty" && transcript.cut === null ? t("listen.first") : undefined) {
    const before = this.#transcript;
    if (before.rows.length && before.id !== transcript.id) {
      offerUndo(t("listen.cleared"), () => this.open(before.entry), "listen-copy");
      if (state === "empty") find("toast-undo").focus();
    }
    this.#transcript = transcript;
    this.#draft.object = { id: transcript.id };
    this.#edit(false);
    this.#become(state, told);
  }

  /** Go on to a state, and show what can be done there: nothing with a transcript before it is whole. @param {string} told what goes on; that all was heard, where it is not given @param {string} problem what went wrong */
  #become(state, told = undefined, problem = "") {
    this.#state = state;
    const some = this.#transcript.rows.length > 0;
    const busy = state in ROUND;
    const whole = some && !busy;
    const { cut, recording } = this.#transcript;
    const stops = state === "recording" || state === "transcribing";
    find("listen-drop").dataset.state = state;
    find("listen").disabled = state === "finishing" || !(stops || Microphone.possible);
    find("listen").ariaPressed = stops ? "true" : null;
    find("listen-text").textContent = find("listen-invitation").textContent = t(ROUND[state] ?? (some ? "listen.again" : "listen.start"));
    for (const id of ["listen-results", "listen-head"]) find(id).hidden = !whole;
    find("listen-sample").hidden = some || busy;
    find("listen-rest").hidden = busy || cut === null || !recording;
    find("listen-progress").hidden = state !== "transcribing";
    if (!busy) {
      find("listen-elapsed").textContent = "";
      this.#meter.rest();
      this.#view.light(null);
    }
    if (whole && recording) this.#player.take(recording, this.#view.words.at(-1).end);
    else if (!whole || this.#player.ready) this.#player.drop();
    const ended = cut === null ? t(some ? "listen.done" : "listen.nothing") : t("history.stopped", { length: reachOf(this.#transcript) });
    this.#say(told ?? ended, told === undefined && some && cut === null);
    find("listen-problem").textContent = problem;
  }

  async #record() {
    quiet();
    this.#become("opening", "");
    const transcript = new Transcript();
    this.#samples = [];
    this.#growth = new Growth();
    let heard = 0;
    const listener = await Listener.begin(find("listen-language").value, {
      word: (word) => this.#add(transcript, word),
      pause: () => this.#paused(transcript),
      level: (level) => this.#meter.show(level),
      sent: (piece) => {
        heard += piece.length / RATE;
        if (heard < KEPT_S) this.#samples.push(Int16Array.from(piece, (sample) => 32767 * sample));
        // A screen reader, which would say each second, does not read it.
        tell(find("listen-elapsed"), this.#state === "recording" ? clock(Math.floor(heard)) : "");
        if (transcript.rows.length && this.#growth.isDue(heard)) history.putSound(transcript.id, wavFile(this.#samples, RATE));
      },
      lost: (error) => this.#recorded(error.words),
    }).catch(expected([DOMException], () => this.#become("failed", "", t("clone.microphone"))));
    if (!listener) return;
    if (this.#state !== "opening") return listener.finish();
    this.#listener = listener;
    this.#show(transcript, "recording", t("listen.listening"));
  }

  /** All was recorded, or what came before something went wrong. */
  #recorded(problem = "") {
    this.#transcript.recording = wavFile(this.#samples, RATE);
    this.#listener = null;
    this.#ended(this.#transcript, problem);
    this.#samples = [];
  }

  /** What was under way has ended; told: what is said of that, if it is not that all was heard. */
  #ended(transcript, problem = "", told = problem ? "" : undefined) {
    this.#keep(transcript);
    this.#draft.object = { id: this.#transcript.id };
    if (!this.#samples.length) find("transcript").scrollTop = 0;
    this.#become(problem ? "failed" : this.#transcript.rows.length ? "done" : "empty", told, problem);
  }

  /** Show one more word, or a sentence of some: {word, start, end}. */
  #add(transcript, said, words) {
    transcript.add(said, words);
    this.#view.refresh();
    find("transcript").scrollTop = find("transcript").scrollHeight;
    if (this.#state === "recording") this.#view.light(this.#view.words.at(-1).element);
    this.#keeping ||= setTimeout(() => this.#keep(transcript, null), KEPT_WITHIN_MS);
  }

  /** Keep a transcript; recording: null while that is kept by itself. */
  #keep(transcript, recording = transcript.recording) {
    clearTimeout(this.#keeping);
    this.#keeping = 0;
    if (transcript.rows.length) history.add({ ...transcript.entry, recording });
  }

  async #paused(transcript) {
    const paragraph = transcript.paragraphs.at(-1);
    transcript.pause();
    const listener = this.#listener;
    if (!find("listen-repeat").checked || !listener || listener.deaf || !paragraph) return;
    listener.deaf = true;
    this.#say(t("listen.repeating"));
    find("listen-problem").textContent = await this.#repeat(paragraph);
    listener.deaf = false;
    if (this.#listener === listener) this.#say(t("listen.listening"));
  }

  /** Transcribe a few sentences that the server speaks: a sample that needs no microphone. */
  async #trySample() {
    this.#become("transcribing", t("status.asked"));
    const upload = (this.#upload = new AbortController());
    const asked = { model: "tts-1", input: t("text.first"), voice: "alloy", language: locale };
    const failed = inWords((words) => this.#become("failed", "", words));
    const sample = await server.post("v1/audio/speech", asked).then((answer) => answer.blob()).catch(failed);
    if (sample && !upload.signal.aborted) this.#take(new File([sample], "sample.mp3"));
    else if (sample && this.#upload === upload) this.#become("empty", "");
  }

  /** Take a file to be transcribed, after those before it; it is kept from now on. */
  async #take(file) {
    const transcript = Object.assign(new Transcript(), { name: file.name, recording: file, cut: 0 });
    history.putSound(transcript.id, file);
    history.add({ ...transcript.entry, recording: null });
    if (this.#files.push(transcript) > 1) return;
    await this.finish();
    for (; this.#files.length; this.#files.shift()) await (this.#work = this.#transcribe(this.#files[0]));
    this.#work = null;
  }

  /** Transcribe a recording anew; what was heard of it before stays in the history. */
  async #takeAgain({ id, rows, recording }) {
    if (!rows.length) history.delete(id);
    await this.#take(recording);
  }

  /** Transcribe the file of a transcript, sentence by sentence. What is shown stays until the first one has come. */
  async #transcribe(transcript) {
    const { name, recording: file } = transcript;
    const upload = (this.#upload = new AbortController());
    const told = t("listen.transcribing", { name });
    this.#draft.object = { id: transcript.id };
    find("listen-progress").removeAttribute("value");
    this.#become("transcribing", told);
    const length = await lengthOf(file);
    if (length > 0 && Number.isFinite(length)) transcript.cut = length;
    let failure = null;
    try {
      const [language, speakers] = [find("listen-language").value, find("listen-speakers").checked];
      const heard = [];
      let named = false;
      for await (const sentence of server.transcribe(file, language, speakers, upload.signal)) {
        // The speakers are known once all was heard.
        if (sentence.speaker && !named) {
          transcript.empty();
          if (this.#transcript === transcript) this.#view.show(transcript);
        }
        named = Boolean(sentence.speaker);
        heard.push(...(sentence.words ?? []));
        // A turn of a speaker comes without its words, which were heard before.
        const words = sentence.words ?? heard.filter(({ start }) => sentence.start <= start && start < sentence.end);
        const text = sentence.text.trim();
        if (text && this.#transcript !== transcript) this.#show(transcript, "transcribing", told);
        if (text) this.#add(transcript, { ...sentence, text }, words);
        if (length > 0) {
          find("listen-progress").value = String(Math.min(1, sentence.end / length));
          find("listen-elapsed").textContent = `${clock(Math.min(sentence.end, length))} / ${clock(length)}`;
        }
      }
      transcript.cut = null;
      // Nothing was said in it: that is what is shown.
      if (!transcript.rows.length) this.#show(transcript, "transcribing", told);
    } catch (error) {
      transcript.stopped = true;
      if (error instanceof ServerError) failure = error;
      else if (!upload.signal.aborted) throw error;
    }
    if (!transcript.rows.length && failure?.kind !== "offline") history.delete(transcript.id).then(history.changed);
    find("listen-file").value = "";
    this.#ended(transcript, failure?.words, upload.signal.aborted && !transcript.rows.length ? "" : undefined);
  }

  /** Have the words and the speakers' names be corrected, or played by a click. */
  #edit(editing) {
    find("listen-edit").ariaPressed = String(editing);
    find("listen-search").value = "";
    this.#view.show(this.#transcript, editing);
  }

  #save(kind) {
    const { words, dialogue, name } = this.#transcript;
    const made = timesFile(words, kind) ?? new Blob([`${dialogue}\n`], { type: "text/plain" });
    saveFile(made, `${name.replace(/\.\w+$/, "") || "kani-transcript"}.${kind}`);
  }

  /** Say what goes on; quietly: to a screen reader, where the eye sees it by the words. */
  #say(words, quietly = false) {
    tell(find("listen-status"), words);
    find("listen-status").classList.toggle("hidden", quietly);
  }
}
