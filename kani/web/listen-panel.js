/** The second tab: what is said into the microphone, or recorded in a file, as text. */

import { copied } from "./clipboard.js";
import { connection } from "./connection.js";
import { find, style, takeDrops, tell } from "./element.js";
import { expected } from "./failures.js";
import { offerHeard } from "./heard-languages.js";
import { history } from "./history.js";
import { clock, locale, percent, t } from "./i18n.js";
import { handleRepeat } from "./listen-repeat.js";
import { FileQueue } from "./listen-queue.js";
import { Listener } from "./listener.js";
import { meterOf } from "./meter.js";
import { Microphone } from "./microphone.js";
import { Recording } from "./recording.js";
import { lengthOf, RecordingPlayer } from "./recording-player.js";
import { inWords, server, ServerError } from "./server.js";
import { quiet, silence } from "./sources.js";
import { Draft, KEPT_WITHIN_MS } from "./storage.js";
import { timesFile } from "./subtitles.js";
import { offerUndo } from "./toast.js";
import { reachOf, Transcript } from "./transcript.js";
import { TranscriptView } from "./transcript-view.js";
import "./texts-listen.js";
import { saveFile } from "./wav.js";

/** Seconds and share of the work after which the time is told that the rest will take. */
const TELLING_S = 3;
const TELLING_SHARE = 0.02;

/** Words of the round button while something is under way: a microphone opens, the last words still come. The other states are "empty", "done" and "failed". */
const ROUND = { opening: "listen.start", recording: "listen.stop", finishing: "listen.finishing", transcribing: "stop" };

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
  /** Work under way: a Listener while it records, an AbortController while it transcribes. */
  #listener = null;
  #upload = null;
  /** Resolves once the last words of the latest recording have come. */
  #finished = Promise.resolve();
  /** The microphone's recording while it grows; null for none. */
  #recording = null;
  #meter = meterOf(find("listen"));
  #player = new RecordingPlayer((at) => this.#view.lightAt(at));
  #repeat;
  /** Id of the transcript that is shown, the number of a row that is corrected, and its text; for a reload. */
  #draft = new Draft("kani.listen");
  /** Timer of when it is kept next. */
  #keeping = 0;
  #queue = new FileQueue((transcript) => this.#transcribe(transcript).catch((error) => {
    reportError(error);
    const { words } = new ServerError("failed", error.message);
    this.#ended(transcript, words);
    return { told: words, gone: false };
  }), ({ id }) => history.find(id).then((entry) => entry && this.open(entry)));

  /** @param {(text: string) => void} use takes a text as the one to speak @param {() => void} own chooses the user's own voice */
  constructor(use, own) {
    this.#repeat = handleRepeat(own, this.#view);
    offerHeard(find("listen-language"), t("listen.auto"));
    find("listen").addEventListener("click", () => {
      if (this.#state === "recording" || this.#state === "transcribing") this.finish();
      else if (!(this.#state in ROUND)) this.#record();
    });
    find("listen-file").addEventListener("change", () => [...find("listen-file").files].forEach((file) => this.take(file)));
    find("listen-sample").addEventListener("click", () => this.#trySample());
    takeDrops(find("listen-drop"), (file) => this.take(file));
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
    find("listen-audio").addEventListener("click", () => {
      const { recording } = this.#transcript;
      saveFile(recording, recording.name || "kani-recording.wav");
    });
    window.addEventListener("pagehide", () => this.#recording?.keep());
    Microphone.prepare();
    this.#become("empty");
    // A browser without a microphone has not failed.
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
      const files = await this.#queue.end(() => this.#upload.abort());
      const names = files.map(({ name }) => name || t("listen.recording")).join(", ");
      if (names) offerUndo(t("listen.ended", { names }), () => files.forEach((file) => this.#takeAgain(file)), "listen");
    }
    if (this.#state !== "recording") return this.#finished;
    if (this.#listener.deaf) silence();
    this.#become("finishing", t("listen.finishing"));
    await (this.#finished = this.#listener.finish().then(() => this.#recorded()));
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
    if (text) this.#keep(transcript);
  }

  /** Show another transcript, once a row that is being typed is left, and so kept. The one that was shown stays in the history, and can be brought back. */
  #show(transcript, state = transcript.rows.length || transcript.recording ? "done" : "empty", told = state === "empty" && transcript.cut === null ? t("listen.first") : undefined) {
    const before = this.#transcript;
    if (before.id !== transcript.id && find("transcript").contains(document.activeElement)) /** @type {HTMLElement} */ (document.activeElement).blur();
    if ((before.rows.length || before.recording) && before.id !== transcript.id) {
      offerUndo(t(state === "empty" ? "listen.cleared" : "text.replaced"), () => this.open(before.entry), "listen-copy");
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
    const { cut, recording } = this.#transcript;
    const whole = !busy && (some || recording !== null);
    const stops = state === "recording" || state === "transcribing";
    find("listen-drop").dataset.state = state;
    find("listen").disabled = !(stops || Microphone.possible);
    find("listen").ariaPressed = state === "recording" ? "true" : null;
    find("listen-text").textContent = find("listen-invitation").textContent = t(ROUND[state] ?? (whole ? "listen.again" : "listen.start"));
    find("listen-results").hidden = !whole;
    for (const id of ["listen-head", "listen-copy", "listen-use"]) find(id).hidden = !whole || !some;
    for (const id of ["srt", "vtt", "json", "txt"]) find(`listen-${id}`).hidden = !some;
    find("listen-audio").hidden = !recording;
    find("listen-sample").hidden = whole || busy;
    find("listen-rest").hidden = busy || !recording || (some && cut === null);
    find("listen-progress").hidden = state !== "transcribing";
    if (!busy) {
      this.#unmeasured();
      this.#meter.rest();
      this.#view.light(null);
    }
    // A file is heard while it is transcribed, too.
    if (recording && (whole || state === "transcribing")) this.#player.take(recording, this.#view.words.at(-1)?.end ?? cut ?? 0);
    else this.#player.drop();
    const ended = cut === null ? t(some ? "listen.done" : "listen.nothing") : t("history.stopped", { length: reachOf(this.#transcript) });
    this.#say(told ?? ended, told === undefined && some && cut === null);
    find("listen-problem").textContent = problem;
  }

  async #record() {
    quiet();
    this.#become("opening", "");
    const transcript = Object.assign(new Transcript(), { cut: 0 });
    const recording = new Recording(transcript.id);
    const listener = await Listener.begin(find("listen-language").value, {
      word: (word) => this.#add(transcript, word),
      pause: () => this.#paused(transcript),
      level: (level) => this.#meter.show(level),
      sent: (piece) => {
        if (recording.take(piece)) this.#keep(transcript, null);
        // A screen reader, which would say each second, does not read it.
        tell(find("listen-elapsed"), this.#state === "recording" ? clock(Math.floor(recording.seconds)) : "");
      },
      lost: ({ kind, words }, again) => tell(find("listen-problem"), again && ["offline", "busy"].includes(kind) ? t("listen.away") : `${words} ${t("listen.goes")}`),
      back: () => tell(find("listen-problem"), ""),
    }).catch(expected([DOMException], () => this.#become("failed", "", t("clone.microphone"))));
    if (!listener) return;
    if (this.#state !== "opening") return listener.finish();
    this.#listener = listener;
    this.#show(transcript, "recording", t("listen.listening"));
    this.#recording = recording;
  }

  /** All was recorded; what the recogniser missed of it can still be transcribed. */
  #recorded() {
    const { missed } = this.#listener;
    const recording = this.#recording;
    this.#listener = this.#recording = null;
    const { rows } = this.#transcript;
    if (recording.kept || rows.length) this.#transcript.recording = recording.file;
    this.#transcript.cut = missed ? recording.seconds : null;
    this.#transcript.stopped = missed;
    this.#ended(this.#transcript, missed ? t("listen.missed", { again: t("listen.rest") }) : "");
  }

  /** End the work, with a transcript or none (null); told: words for that, if it is not that all was heard. */
  #ended(transcript, problem = "", told = problem ? "" : undefined) {
    if (transcript) this.#keep(transcript);
    this.#draft.object = { id: this.#transcript.id };
    const { name, rows, recording } = this.#transcript;
    if (name) find("transcript").scrollTop = 0;
    this.#become(problem ? "failed" : rows.length || recording ? "done" : "empty", told, problem);
  }

  /** Show one more word, or a sentence of some: {word, start, end}. */
  #add(transcript, said, words) {
    transcript.add(said, words);
    this.#view.refresh();
    if (!this.#player.sounds) find("transcript").scrollTop = find("transcript").scrollHeight;
    if (this.#state === "recording") this.#view.light(this.#view.words.at(-1).element);
    this.#keeping ||= setTimeout(() => this.#keep(transcript, null), KEPT_WITHIN_MS);
  }

  /** Keep a transcript; recording: null while that is kept by itself. */
  #keep(transcript, recording = transcript.recording) {
    clearTimeout(this.#keeping);
    this.#keeping = 0;
    // A recording in parts has no words yet.
    if (transcript.rows.length || transcript.recording || this.#recording?.kept) history.add({ ...transcript.entry, recording });
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
    const failed = inWords((words) => this.#upload === upload && this.#become("failed", "", words));
    const sample = await server.post("v1/audio/speech", asked).then((answer) => answer.blob()).catch(failed);
    if (sample && !upload.signal.aborted) this.take(new File([sample], "sample.mp3"));
    else if (sample && this.#upload === upload) this.#become("empty", "");
  }

  /** Take a file to be transcribed, after those before it; it is kept from now on. given: its text, which no later file has. */
  async take(file, given = find("listen-with").open ? find("listen-given").value.trim() : "") {
    find("listen-with").open = false;
    const transcript = Object.assign(new Transcript(), { name: file.name ?? "", recording: file, cut: 0, given });
    history.putSound(transcript.id, file);
    history.add({ ...transcript.entry, recording: null });
    await this.#queue.add(transcript, () => this.finish());
  }

  /** Transcribe a recording anew; what was heard of it before stays in the history. */
  async #takeAgain(transcript) {
    const taken = this.take(transcript.recording, transcript.given ?? undefined);
    if (!transcript.rows.length) await history.delete(transcript.id);
    await taken;
  }

  /** Transcribe the file of a transcript, sentence by sentence. What is shown stays until the first one has come. Returns what the queue tells of it, {told, gone}. */
  async #transcribe(transcript) {
    const { name, recording: file } = transcript;
    const { signal } = (this.#upload = new AbortController());
    const told = t("listen.transcribing", { name: name || t("listen.recording") });
    this.#draft.object = { id: transcript.id };
    this.#become("transcribing", told);
    const length = await lengthOf(file);
    if (length > 0 && Number.isFinite(length)) transcript.cut = length;
    let failure;
    do {
      this.#become("transcribing", connection.ready ? told : t("status.waiting"));
      await connection.opened(signal);
      this.#say(told);
      failure = await this.#hear(transcript, signal, told, length).then(() => null, expected([ServerError], (error) => error));
      // Nothing came of it, and the line is gone: it begins anew with that.
    } while (failure?.kind === "offline" && !connection.ready && !transcript.rows.length && !signal.aborted);
    const some = transcript.rows.length > 0;
    // Words of a text that hardly fits are all there.
    transcript.stopped = (failure !== null && failure.kind !== "unfit") || signal.aborted;
    if (!transcript.stopped) {
      transcript.cut = null;
      // Nothing was said in it: that is what is shown.
      if (!some) this.#show(transcript, "transcribing", told);
    }
    // A recording that was stopped at once can be brought back; a file that is none cannot.
    const gone = !some && name !== "" && (signal.aborted || failure?.param === "file" || failure?.reason?.code === "too_large");
    if (gone) await history.delete(transcript.id).then(history.changed);
    else if (failure && !some) this.#show(transcript, "transcribing", told);
    find("listen-file").value = "";
    const named = this.#transcript.id !== transcript.id && this.#transcript.rows.length ? `${name}: ` : "";
    this.#ended(gone ? null : transcript, failure ? named + failure.words : "", signal.aborted && !some ? "" : undefined);
    const ended = t(signal.aborted ? "status.stopped" : some ? "listen.done" : "listen.nothing");
    return { told: failure?.words ?? ended, gone };
  }

  /** Have the server transcribe a file of some length, and show each sentence as it comes. Throws ServerError. */
  async #hear(transcript, signal, told, length) {
    this.#unmeasured();
    const [language, speakers] = [find("listen-language").value, find("listen-speakers").checked];
    const name = transcript.name || t("listen.recording");
    const heard = [];
    let began = performance.now();
    let named = false;
    const sent = (share) => {
      this.#say(share < 1 ? t("listen.sending", { name }) : told);
      if (share < 1) return this.#progress(share, percent(share), began);
      began = performance.now();
      this.#unmeasured();
    };
    try {
      const { given, recording } = transcript;
      const sentences = given ? server.align(recording, given, language, signal, sent) : server.transcribe(recording, language, speakers, signal, sent);
      for await (const sentence of sentences) {
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
        if (length > 0) this.#progress(Math.min(1, sentence.end / length), `${clock(Math.min(sentence.end, length))} / ${clock(length)}`, began);
      }
    } catch (error) {
      if (error instanceof ServerError || !signal.aborted) throw error;
    }
  }

  /** Show how much is done, 0 to 1, here and in the browser's tab; and how long the rest takes, once that can be told. @param {number} began when, on performance.now()'s clock */
  #progress(share, told, began) {
    const passed = (performance.now() - began) / 1000;
    const left = passed > TELLING_S && share > TELLING_SHARE && share < 1 ? ` · ${t("line.left", { time: clock((passed * (1 - share)) / share) })}` : "";
    find("listen-progress").value = String(share);
    find("listen-elapsed").textContent = told + left;
    document.title = `${percent(share)} · ${t("title")}`;
  }

  /** Nothing tells how much is done. */
  #unmeasured() {
    find("listen-progress").removeAttribute("value");
    find("listen-elapsed").textContent = "";
    document.title = t("title");
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
