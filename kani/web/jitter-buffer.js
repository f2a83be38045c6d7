/**
 * The jitter buffer, on the audio thread where browsers allow it.
 *
 * It plays what has come at once, brings it from the stream's sample rate to the device's, and where it
 * runs dry fades out over 5 ms, waits, and fades in at the same place: nothing is lost, nothing clicks.
 * Between pieces that follow each other in time nothing is done at all.
 *
 * In:  {kind: "start", stream, rate, fades}, {kind: "samples", stream, samples: Int16Array}, {kind: "end", stream},
 *      {kind: "stop"}.
 * Out: {kind: "playing" | "dry" | "sound" | "ended", stream, time, position}: from ``time`` on (seconds of
 *      the context's clock) the stream is heard from ``position`` on (seconds of its own audio), or rests there.
 */

import { Kernel } from "./kernel.js";

export const FADE_S = 0.005;
const FIRST_MARGIN_S = 0.1;
const LARGEST_MARGIN_S = 0.8;

/** The samples of a stream that are still needed, by their index since it began. */
class Pieces {
  constructor() {
    this.list = [];
    this.first = 0;
    this.total = 0;
  }

  push(samples) {
    this.list.push(samples);
    this.total += samples.length;
  }

  /** Forget the pieces that end before ``index``. */
  forget(index) {
    while (this.list.length && this.first + this.list[0].length <= index) this.first += this.list.shift().length;
  }

  /** Copy the samples from ``start`` on into ``window`` as numbers in [-1, 1]; zero where there are none. */
  read(start, window) {
    window.fill(0);
    let at = this.first;
    for (const piece of this.list) {
      if (at >= start + window.length) break;
      const from = Math.max(start, at);
      const to = Math.min(start + window.length, at + piece.length);
      for (let index = from; index < to; index++) window[index - start] = piece[index - at] / 32768;
      at += piece.length;
    }
  }
}

export class JitterBuffer {
  kernels = new Map();
  stream = null;
  /** The stream that begins once the one before it has faded out. */
  next = null;
  /** Seconds of the context's clock at which the output begins that is rendered. */
  time = 0;

  /** @param {number} rate hertz of the device @param {(event: any) => void} told called with each event @param {number} ahead seconds between the rendering of a sample and its sound, for which more has to be there */
  constructor(rate, told, ahead = 0) {
    this.rate = rate;
    this.ahead = ahead;
    this.told = told;
    this.fadeStep = 1 / (FADE_S * rate);
  }

  /** Take a message. */
  take = (message) => this[message.kind](message);

  start({ stream, rate, fades = false }) {
    if (!this.kernels.has(rate)) this.kernels.set(rate, new Kernel(rate, this.rate));
    const begun = {
      id: stream, rate, kernel: this.kernels.get(rate), window: new Float32Array(0), pieces: new Pieces(), step: rate / this.rate, at: 0,
      gain: fades ? 0 : 1, fadedFrom: null, playing: false, sounded: false, ended: false, stopping: false, margin: this.ahead * rate,
      nextMargin: this.ahead + FIRST_MARGIN_S,
    };
    if (this.stream?.stopping) this.next = begun;
    else this.stream = begun;
  }

  samples = ({ stream, samples }) => this.find(stream)?.pieces.push(samples);

  end({ stream }) {
    const found = this.find(stream);
    if (found) found.ended = true;
  }

  find = (id) => [this.stream, this.next].find((stream) => stream?.id === id);

  stop() {
    this.next = null;
    if (!this.stream?.playing) this.stream = null;
    else this.stream.stopping = true;
  }

  tell(kind, stream, offset, position = stream.at) {
    this.told({ kind, stream: stream.id, time: this.time + offset / this.rate, position: Math.max(0, position) / stream.rate });
  }

  /** Source samples that can still be played. */
  left = (stream) => stream.pieces.total - (stream.ended ? 0 : stream.kernel.half) - stream.at;

  /** Fill the output, silence so far, that is heard from a second of the context's clock on. */
  render(output, time) {
    const { stream } = this;
    if (!stream) return;
    this.time = time;
    const reserve = FADE_S * stream.rate;
    let base = Math.floor(stream.at) - stream.kernel.half;
    let filled = false;
    for (let n = 0; n < output.length; n++) {
      const left = this.left(stream);
      if (left <= 0 && stream.ended) return this.finish(stream, n);
      if (!stream.playing) {
        if (!stream.ended && left <= Math.max(reserve, stream.margin)) return;
        stream.playing = true;
        this.tell("playing", stream, n);
      }
      if (!stream.stopping && (stream.ended || left > reserve)) {
        stream.fadedFrom = null;
        stream.gain = Math.min(1, stream.gain + this.fadeStep);
      } else {
        stream.fadedFrom ??= stream.at;
        stream.gain -= this.fadeStep;
        if (stream.gain <= 0) return this.rest(stream, n);
      }
      if (!filled) {
        const length = Math.ceil(output.length * stream.step) + stream.kernel.taps + 2;
        if (stream.window.length !== length) stream.window = new Float32Array(length);
        stream.pieces.read(base, stream.window);
        filled = true;
      }
      const whole = Math.floor(stream.at);
      output[n] = stream.kernel.value(stream.window, whole - base, stream.at - whole) * stream.gain;
      if (!stream.sounded && output[n] !== 0) {
        stream.sounded = true;
        this.tell("sound", stream, n);
      }
      stream.at += stream.step;
    }
    stream.pieces.forget(Math.floor(stream.fadedFrom ?? stream.at) - stream.kernel.half - 1);
  }

  rest(stream, offset) {
    if (stream.stopping) return this.finish(stream, offset);
    stream.at = stream.fadedFrom ?? stream.at;
    stream.fadedFrom = null;
    stream.gain = 0;
    stream.playing = false;
    stream.margin = stream.nextMargin * stream.rate;
    stream.nextMargin = Math.min(LARGEST_MARGIN_S, 2 * stream.nextMargin);
    this.tell("dry", stream, offset);
  }

  finish(stream, offset) {
    this.tell("ended", stream, offset);
    this.stream = this.next;
    this.next = null;
  }
}
