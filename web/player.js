/**
 * The sound of one stream at a time, and which moment of it is heard now.
 *
 * The context runs at the device's own rate and the worklet brings every stream to it: the rate of a stream is
 * known only when its first frame is there, and a context that was opened then would be late by what opening costs.
 */

const IDLE_MS = 60_000;

export class Player {
  #context = null;
  #node = null;
  #opening = null;
  #stream = 0;
  #rate = 0;
  #anchors = [];
  #idle = 0;

  /** @param {(kind: "playing"|"dry"|"sound"|"ended") => void} told called with each event of the current stream */
  constructor(told) {
    this.told = told;
  }

  /** Whether this browser plays here: worklets need https, or this machine itself. */
  static get possible() {
    return typeof AudioWorkletNode === "function" && window.isSecureContext;
  }

  /** Whether a stream is under way: waited for, heard or resting. */
  get busy() {
    return this.#stream !== 0;
  }

  /** Prepare for sound without playing any; needs no click. */
  open() {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open() {
    this.#context = new AudioContext({ latencyHint: "interactive" });
    await this.#context.audioWorklet.addModule(new URL("player-worklet.js", import.meta.url));
    this.#node = new AudioWorkletNode(this.#context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => this.#happened(data);
    this.#node.connect(this.#context.destination);
  }

  /** Begin a stream; call it on a click, as browsers allow no sound before one. */
  begin() {
    clearTimeout(this.#idle);
    this.stop();
    this.#stream = Math.floor(performance.now() * 1000) + 1;
    this.#rate = 0;
    this.#anchors = [];
    return this.open().then(() => this.#context.resume());
  }

  /**
   * Play ``samples`` after those that came before.
   * @param {Int16Array} samples handed over to the audio thread: the caller loses them
   * @param {number} rate hertz, the same for a whole stream
   */
  async push(samples, rate) {
    const stream = this.#stream;
    await this.open();
    if (stream === 0 || stream !== this.#stream) return;
    if (this.#rate === 0) {
      this.#rate = rate;
      this.#node.port.postMessage({ kind: "start", stream, rate });
    }
    this.#node.port.postMessage({ kind: "samples", stream, samples }, [samples.buffer]);
  }

  /** Nothing more will come. */
  async finish() {
    const stream = this.#stream;
    await this.open();
    if (stream === 0 || stream !== this.#stream) return;
    if (this.#rate === 0) this.#happened({ kind: "ended", stream });
    else this.#node.port.postMessage({ kind: "end", stream });
  }

  /** Silence, at once. */
  stop() {
    if (this.#stream === 0) return;
    this.#stream = 0;
    this.#node?.port.postMessage({ kind: "stop" });
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
    return anchor.position + (anchor.kind === "playing" ? now - anchor.time : 0);
  }

  #happened({ kind, stream, time, position }) {
    if (stream !== this.#stream) return;
    if (kind === "playing" || kind === "dry") this.#anchors.push({ kind, time, position });
    if (kind === "ended") {
      this.#stream = 0;
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
