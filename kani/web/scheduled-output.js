/** Playback without a worklet, which browsers refuse over plain http from another machine: it takes player-worklet.js' messages, and schedules a buffer a piece. */

import { audioBuffer } from "./wav.js";

/** Seconds of audio that are waited for before the first piece plays, and after playback ran dry. */
const MARGIN_S = 0.25;
/** Seconds between scheduling a piece and its start: less is at times too late. */
const LEAD_S = 0.03;
/** Seconds of the shortest piece: each has its own node. */
const SHORTEST_S = 0.1;
const FADE_S = 0.005;

export class ScheduledOutput {
  #context;
  #told;
  #destination;
  #stream = null;

  /** @param {AudioContext} context @param {(event: {kind, stream, time, position}) => void} told called with the events of player-worklet.js @param {AudioNode} destination where the sound goes */
  constructor(context, told, destination) {
    this.#destination = destination;
    this.#context = context;
    this.#told = told;
  }

  /** Take one of the worklet's messages. */
  postMessage(message) {
    const { kind, stream } = message;
    if (kind === "stop" || kind === "start") this.#stop();
    if (kind === "start") {
      const gain = this.#context.createGain();
      gain.connect(this.#destination);
      // until: when the scheduled pieces end; position: how many seconds of the stream they are.
      this.#stream = { id: stream, rate: message.rate, gain, waiting: [], waits: 0, until: 0, position: 0, playing: 0, ended: false, dry: true };
    } else if (this.#stream && this.#stream.id === stream) this[kind](message);
  }

  /** Take samples (Int16Array). */
  samples({ samples }) {
    this.#stream.waiting.push(samples);
    this.#stream.waits += samples.length / this.#stream.rate;
    this.#schedule();
  }

  /** No samples follow. */
  end() {
    this.#stream.ended = true;
    this.#schedule();
  }

  #stop() {
    const stream = this.#stream;
    if (!stream) return;
    this.#stream = null;
    stream.gain.gain.setTargetAtTime(0, this.#context.currentTime, FADE_S / 3);
    setTimeout(() => stream.gain.disconnect(), 100);
  }

  /** Schedule what waits, if it is enough. */
  #schedule() {
    const stream = this.#stream;
    const least = stream.dry ? MARGIN_S : SHORTEST_S;
    if (stream.waits > 0 && (stream.ended || stream.waits >= least)) this.#play(stream);
    if (stream.ended && stream.playing === 0) this.#finish(stream);
  }

  #play(stream) {
    const earliest = this.#context.currentTime + LEAD_S;
    const time = Math.max(stream.until, earliest);
    if (!stream.dry && time > stream.until) this.#tell("dry", stream, stream.until);
    const first = stream.position === 0;
    if (stream.dry || time > stream.until) this.#tell("playing", stream, time);
    stream.dry = false;
    const length = stream.waiting.reduce((sum, piece) => sum + piece.length, 0);
    const buffer = audioBuffer(stream.waiting, length, stream.rate);
    stream.waiting = [];
    stream.waits = 0;
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(stream.gain);
    source.onended = () => {
      stream.playing--;
      if (this.#stream !== stream || stream.playing > 0) return;
      if (stream.ended && stream.waits === 0) this.#finish(stream);
      else if (!stream.dry) {
        stream.dry = true;
        this.#tell("dry", stream, stream.until);
        this.#schedule();
      }
    };
    source.start(time);
    stream.playing++;
    stream.until = time + source.buffer.duration;
    stream.position += source.buffer.duration;
    if (first) setTimeout(() => this.#tell("sound", stream, time, 0), 1000 * (time - this.#context.currentTime));
  }

  #finish(stream) {
    this.#stream = null;
    stream.gain.disconnect();
    this.#tell("ended", stream, stream.until);
  }

  #tell = (kind, stream, time, position = stream.position) => this.#told({ kind, stream: stream.id, time, position });
}
