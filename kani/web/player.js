/**
 * The sound of one stream at a time, and which moment of it is heard now.
 *
 * The context runs at the device's own rate and the worklet brings every stream to it: the rate of a stream is
 * known only when its first frame is there, and a context that was opened then would be late by what opening costs.
 */

import { TimeStretch } from "./time-stretch.js";

/** Seconds that a stream is waited for before it plays, if it comes slowly. */
const WAIT_S = 0.6;
/** Seconds that it is waited for, if it would run dry before its end: it is heard in one piece then, if that is no longer. */
const LONGEST_WAIT_S = 5;
/** Seconds of audio that have to come in a second. */
const FAST = 1.25;
const IDLE_MS = 60_000;
/** A device that has not begun to run by then gives no sound: Firefox without a sound card waits for ever. */
const STARTS_WITHIN_MS = 5000;
/** Firefox on Linux may hang for ever when the latency is read while sound begins (docs/page.md, Browsers): there it is taken to be what was found, 30-62 ms. */
const LATENCY_HANGS = /Linux.*Firefox\//.test(navigator.userAgent);
const USUAL_LATENCY_S = 0.045;
/** Stretching a long text, which is played from a place in it, holds the page no longer than this in one go. */
const LONGEST_WORK_MS = 30;
/** Seconds of speech that are handed over before they are heard, and how often it is looked whether more are needed. */
const AHEAD_S = 60;
const LOOKS_MS = 1000;

/** Decides when a stream may begin to play: one that comes more slowly than it plays would run dry, and is waited for. */
export class StartGate {
  #first = null;
  #last = null;
  #pace;
  #expected;

  /** @param {number} pace seconds of audio that came in a second of the stream before; NaN if there was none @param {() => number} expected seconds of all of it, as far as can be told */
  constructor(pace, expected = () => 0) {
    this.#pace = pace;
    this.#expected = expected;
  }

  /** Take ``seconds`` of audio that came at ``now`` (seconds); return whether playback may begin. */
  take(seconds, now) {
    this.#first ??= { at: now, seconds };
    this.#last = { at: now, seconds: (this.#last?.seconds ?? 0) + seconds };
    return this.opens(now);
  }

  /** Return whether playback may begin at ``now``, once something has come. */
  opens(now) {
    if (this.#pace >= FAST || this.pace >= FAST) return true;
    const runsDry = this.#last.seconds < this.#expected() * (1 - this.pace);
    return now - this.#first.at >= (runsDry ? LONGEST_WAIT_S : WAIT_S);
  }

  /** Seconds of audio that came in a second since the first frame; NaN while there is one frame. */
  get pace() {
    if (this.#first === null || this.#last.at === this.#first.at) return NaN;
    return (this.#last.seconds - this.#first.seconds) / (this.#last.at - this.#first.at);
  }
}

export class Player {
  #context = null;
  /** Target of the jitter buffer's messages: the worklet's port, or a scheduled output. */
  #output = null;
  #opening = null;
  #stream = 0;
  #rate = 0;
  #anchors = [];
  /** The second of the utterance at which the stream began. */
  #offset = 0;
  #received = 0;
  /** True if it rests. */
  paused = false;
  #volume = 1;
  #gain = null;
  /** Pieces that wait for the gate; null once it is open. */
  #held = null;
  #gate = null;
  #opensAt = 0;
  #pace = NaN;
  /** True if the stream comes from the server, so that its pace tells of the next one's. */
  #comes = false;
  #idle = 0;
  #starting = 0;
  /** Seconds of speech in a second, at the same pitch: of the next stream, and of this one. */
  tempo = 1;
  #tempo = 1;
  /** Brings this stream to its tempo, null at its own. */
  #stretch = null;
  /** Settles once all that was pushed so far is handled, one piece after the other; never rejected. */
  #work = Promise.resolve();
  #workedMs = 0;
  /** Ends a wait of what feeds the stream. */
  #wake = () => {};
  /** True if this device plays nothing, as far as is known: once its sound could not be opened. */
  silent = typeof AudioContext !== "function";

  /** @param {(kind: "playing"|"dry"|"sound"|"ended"|"silent") => void} told called with each event of the current stream; silent: this device plays nothing */
  constructor(told) {
    this.told = told;
  }

  /** True if a stream is under way: waited for, heard or resting. */
  get busy() {
    return this.#stream !== 0;
  }

  /** Prepare for sound without playing any; needs no click. Resolves to whether there is a device that plays. */
  open() {
    this.#opening ??= this.#open().catch((error) => {
      console.info("no sound:", error);
      this.#opening = null;
      this.#context = null;
      return false;
    });
    return this.#opening;
  }

  async #open() {
    this.#context = new AudioContext({ latencyHint: "interactive" });
    this.#gain = this.#context.createGain();
    this.#gain.gain.value = this.#volume;
    this.#gain.connect(this.#context.destination);
    if (!this.#context.audioWorklet) {
      const { scheduledOutput } = await import("./scheduled-output.js");
      this.#output = scheduledOutput(this.#context, (event) => this.#happened(event), this.#gain);
      return true;
    }
    await this.#context.audioWorklet.addModule(new URL("player-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(this.#context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    node.port.onmessage = ({ data }) => this.#happened(data);
    node.connect(this.#gain);
    this.#output = node.port;
    return true;
  }

  /** Begin a stream, at a second of the utterance; call it on a click, as browsers allow no sound before one. @param {() => number} [expected] seconds of all of it */
  begin(offset = 0, expected = () => 0) {
    this.#gate = new StartGate(this.#pace / this.tempo, () => expected() / this.#tempo);
    this.#comes = true;
    return this.#begin(offset);
  }

  /** Play an utterance from second ``position`` on, of what has come of it; what comes later is pushed. @param {boolean} complete nothing more will come @param {boolean} rests it is only heard once it is played on */
  playFrom(source, position, complete, rests = false) {
    this.#gate = new StartGate(Infinity);
    this.#comes = false;
    const first = Math.round(Math.min(Math.max(0, position), source.seconds) * source.sampleRate);
    this.#begin(first / source.sampleRate);
    this.paused = rests;
    // Later audio is pushed after these.
    const pieces = [...source.pieces];
    this.#inTurn((stream) => this.#feed(stream, pieces, first, source.sampleRate));
    if (complete) this.finish();
  }

  /** Take pieces from a sample on, a second after the other, as far ahead as is needed: stretching all of an hour at once would hold the page. */
  async #feed(stream, pieces, first, rate) {
    let at = 0;
    for (const piece of pieces) {
      for (let from = Math.max(0, first - at); from < piece.length; from += rate) {
        await this.#breathe();
        while (stream === this.#stream && this.#received - (this.heard() - this.#offset) > AHEAD_S) {
          await new Promise((done) => {
            this.#wake = () => done(null);
            setTimeout(done, LOOKS_MS);
          });
        }
        if (stream !== this.#stream) return;
        this.#take(stream, piece.slice(from, from + rate), rate);
      }
      at += piece.length;
    }
  }

  /** Let the page do something else, once it was held for long enough. */
  async #breathe() {
    if (this.#workedMs <= LONGEST_WORK_MS) return;
    await new Promise((done) => setTimeout(done));
    this.#workedMs = 0;
  }

  /** Rest, or play on. */
  async pause(rests) {
    this.paused = rests;
    clearTimeout(this.#starting);
    await (rests ? this.#context?.suspend() : this.#context?.resume());
  }

  /** Loudness, 0 to 1. */
  set volume(volume) {
    this.#volume = volume;
    this.#gain?.gain.setTargetAtTime(volume, this.#context.currentTime, 0.01);
  }

  async #begin(offset) {
    clearTimeout(this.#idle);
    this.stop();
    const stream = (this.#stream = Math.floor(performance.now() * 1000) + 1);
    this.silent = false;
    this.#rate = 0;
    this.#anchors = [];
    this.#received = 0;
    this.#offset = offset;
    this.#held = [];
    this.#tempo = this.tempo;
    this.#stretch = null;
    await this.#run(stream);
  }

  /** Have the device run for a stream. What that needs is asked for again with the first samples, if no server was there. */
  async #run(stream) {
    if (!(await this.open()) || this.paused || stream !== this.#stream) return;
    this.#starting = setTimeout(() => this.#context.state !== "running" && this.#fail(stream), STARTS_WITHIN_MS);
    await this.#context.resume();
  }

  #fail(stream) {
    if (stream !== this.#stream) return;
    this.stop();
    this.silent = true;
    this.told("silent");
  }

  /** Play ``samples`` after those that came before. @param {Int16Array} samples handed over to the audio thread: the caller loses them @param {number} rate hertz, the same for a whole stream */
  push = (samples, rate) => this.#inTurn((stream) => this.#take(stream, samples, rate));

  /** Act on the stream after what was pushed before, if it is still the same one. */
  #inTurn(act) {
    const stream = this.#stream;
    this.#work = this.#work.then(async () => {
      if (!this.#opening) this.#run(stream);
      const opened = await this.open();
      await this.#breathe();
      if (stream !== 0 && stream === this.#stream) return opened ? act(stream) : this.#fail(stream);
    }).catch((error) => {
      // The chain goes on: a rejected one would skip all that is pushed from now on, of other streams too.
      reportError(error);
      this.#fail(stream);
    });
  }

  #take(stream, samples, rate) {
    if (this.#rate === 0) {
      this.#rate = rate;
      if (this.#tempo !== 1) this.#stretch = new TimeStretch(rate, this.#tempo);
      this.#output.postMessage({ kind: "start", stream, rate, fades: this.#offset > 0 });
    }
    const seconds = samples.length / rate;
    this.#received += seconds;
    const opens = this.#gate.take(seconds / this.#tempo, performance.now() / 1000);
    const began = performance.now();
    const played = this.#stretch?.take(samples) ?? samples;
    this.#workedMs += performance.now() - began;
    if (this.#held === null) return this.#send(played);
    this.#held.push(played);
    if (opens) this.#release();
    else this.#opensAt ||= setTimeout(() => this.#look(), 1000 * WAIT_S);
  }

  /** Play what waits for the gate once it opens, also where nothing more comes. */
  #look() {
    if (this.#gate.opens(performance.now() / 1000)) this.#release();
    else this.#opensAt = setTimeout(() => this.#look(), 1000 * WAIT_S);
  }

  #send = (samples) => this.#output.postMessage({ kind: "samples", stream: this.#stream, samples }, [samples.buffer]);

  /** Play what waits for the gate. */
  #release() {
    clearTimeout(this.#opensAt);
    this.#opensAt = 0;
    const held = this.#held ?? [];
    this.#held = null;
    for (const samples of held) this.#send(samples);
  }

  /** Nothing more will come. */
  finish() {
    this.#inTurn((stream) => {
      this.#release();
      if (this.#comes && Number.isFinite(this.#gate.pace)) this.#pace = this.#gate.pace * this.#tempo;
      if (this.#rate === 0) return this.#happened({ kind: "ended", stream });
      if (this.#stretch) this.#send(this.#stretch.finish());
      this.#output.postMessage({ kind: "end", stream });
    });
  }

  /** Silence, at once. */
  stop() {
    if (this.#stream === 0) return;
    this.#stream = 0;
    this.#wake();
    this.paused = false;
    clearTimeout(this.#starting);
    clearTimeout(this.#opensAt);
    this.#opensAt = 0;
    this.#output?.postMessage({ kind: "stop" });
    this.#rests();
  }

  /** Seconds from a sample's rendering until it is heard. */
  get latency() {
    if (LATENCY_HANGS) return USUAL_LATENCY_S;
    return this.#context?.outputLatency || this.#context?.baseLatency || 0;
  }

  /** Second of the stream's audio that is heard now; 0 before the first. */
  heard() {
    if (!this.#context || this.#anchors.length === 0) return this.#offset;
    const now = this.#context.currentTime - this.latency;
    const anchor = this.#anchors.findLast(({ time }) => time <= now);
    if (!anchor) return this.#offset;
    // The event that playback ran dry comes a moment after it did.
    const passed = anchor.position + (anchor.kind === "playing" ? now - anchor.time : 0);
    return this.#offset + Math.min(passed * this.#tempo, this.#received);
  }

  #happened({ kind, stream, time = 0, position = 0 }) {
    if (stream !== this.#stream) return;
    if (kind !== "sound") this.#anchors.push({ kind, time, position });
    if (kind === "ended") {
      this.#stream = 0;
      clearTimeout(this.#starting);
      this.#rests();
    }
    this.told(kind);
  }

  #rests() {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#context?.suspend(), IDLE_MS);
  }
}
