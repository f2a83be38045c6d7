/** One thing that is said: what was asked for, and what of it has come. */

export class Utterance {
  pieces = [];
  spans = [];
  arrivals = [];
  sampleRate = 0;
  samples = 0;
  result = null;
  /** Whether it was stopped before all had come. */
  stopped = false;
  /** Whether its connection broke before all had come. */
  lost = false;

  /**
   * @param {string} id the request's
   * @param {object} choice what was asked for: text, language, voice, emotion, speed …
   * @param {number} askedAt when, on performance.now()'s clock
   */
  constructor(id, choice, askedAt) {
    this.id = id;
    this.choice = choice;
    this.askedAt = askedAt;
  }

  /** Take a frame that came at ``now``; the spans it brought. */
  add({ metadata, samples }, now) {
    this.sampleRate = metadata.sample_rate;
    this.pieces.push(samples);
    this.samples += samples.length;
    this.arrivals.push([(now - this.askedAt) / 1000, this.seconds]);
    const spans = metadata.spans ?? [];
    this.spans.push(...spans);
    return spans;
  }

  /** Seconds of audio that have come. */
  get seconds() {
    return this.sampleRate ? this.samples / this.sampleRate : 0;
  }

  /** Seconds that a second of audio took to come; NaN before any came. */
  get factor() {
    return this.arrivals.length ? this.arrivals.at(-1)[0] / this.seconds : NaN;
  }
}
