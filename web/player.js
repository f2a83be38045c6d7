/**
 * The sound of one stream at a time, and which moment of it is heard now.
 *
 * The context runs at the device's own rate and the worklet brings every stream to it: the rate of a stream is
 * known only when its first frame is there, and a context that was opened then would be late by what opening costs.
 */

import { ScheduledOutput } from "./scheduled-output.js";

const IDLE_MS = 60_000;
/** A device that has not begun to run by then gives no sound: Firefox without a sound card waits for ever. */
const STARTS_WITHIN_MS = 5000;

export class Player {
  #context = null;
  /** Where the messages of player-worklet.js go: the worklet's port, or a ScheduledOutput. */
  #output = null;
  #opening = null;
  #stream = 0;
  #rate = 0;
  #anchors = [];
  #received = 0;
  #idle = 0;
  #starting = 0;
  #silent = typeof AudioContext !== "function";

  /**
   * @param {(kind: "playing"|"dry"|"sound"|"ended"|"silent") => void} told called with each event of the current
   *   stream; silent: this device plays nothing
   */
  constructor(told) {
    this.told = told;
  }

  /** Whether this device plays, as far as is known: false once its sound could not be opened. */
  get works() {
    return !this.#silent;
  }

  /** Whether a stream is under way: waited for, heard or resting. */
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
    if (!this.#context.audioWorklet) {
      this.#output = new ScheduledOutput(this.#context, (event) => this.#happened(event));
      return true;
    }
    await this.#context.audioWorklet.addModule(new URL("player-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(this.#context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    node.port.onmessage = ({ data }) => this.#happened(data);
    node.connect(this.#context.destination);
    this.#output = node.port;
    return true;
  }

  /** Begin a stream; call it on a click, as browsers allow no sound before one. */
  async begin() {
    clearTimeout(this.#idle);
    this.stop();
    const stream = (this.#stream = Math.floor(performance.now() * 1000) + 1);
    this.#silent = false;
    this.#rate = 0;
    this.#anchors = [];
    this.#received = 0;
    if (!(await this.open())) return this.#fail(stream);
    this.#starting = setTimeout(() => this.#context.state !== "running" && this.#fail(stream), STARTS_WITHIN_MS);
    await this.#context.resume();
  }

  #fail(stream) {
    if (stream !== this.#stream) return;
    this.stop();
    this.#silent = true;
    this.told("silent");
  }

  /**
   * Play ``samples`` after those that came before.
   * @param {Int16Array} samples handed over to the audio thread: the caller loses them
   * @param {number} rate hertz, the same for a whole stream
   */
  async push(samples, rate) {
    const stream = this.#stream;
    const opened = await this.open();
    if (!opened || stream === 0 || stream !== this.#stream) return;
    if (this.#rate === 0) {
      this.#rate = rate;
      this.#output.postMessage({ kind: "start", stream, rate });
    }
    this.#received += samples.length / rate;
    this.#output.postMessage({ kind: "samples", stream, samples }, [samples.buffer]);
  }

  /** Nothing more will come. */
  async finish() {
    const stream = this.#stream;
    const opened = await this.open();
    if (!opened || stream === 0 || stream !== this.#stream) return;
    if (this.#rate === 0) this.#happened({ kind: "ended", stream });
    else this.#output.postMessage({ kind: "end", stream });
  }

  /** Silence, at once. */
  stop() {
    if (this.#stream === 0) return;
    this.#stream = 0;
    clearTimeout(this.#starting);
    this.#output?.postMessage({ kind: "stop" });
    this.#rests();
  }

  /** Seconds from a sample's rendering until it is heard. */
  get latency() {
    return this.#context?.outputLatency || this.#context?.baseLatency || 0;
  }

  /** Which second of the stream's audio is heard now; 0 before the first. */
  heard() {
    if (!this.#context || this.#anchors.length === 0) return 0;
    const now = this.#context.currentTime - this.latency;
    const anchor = this.#anchors.findLast(({ time }) => time <= now);
    if (!anchor) return 0;
    // The event that playback ran dry comes a moment after it did.
    return Math.min(anchor.position + (anchor.kind === "playing" ? now - anchor.time : 0), this.#received);
  }

  #happened({ kind, stream, time, position }) {
    if (stream !== this.#stream) return;
    if (kind === "playing" || kind === "dry") this.#anchors.push({ kind, time, position });
    if (kind === "ended") {
      this.#stream = 0;
      clearTimeout(this.#starting);
      this.#anchors.push({ kind, time, position });
      this.#rests();
    }
    this.told(kind);
  }

  #rests() {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#context?.suspend(), IDLE_MS);
  }
}
