/** One thing that is said: what was asked for, and what of it has come. */

export class Utterance {
  pieces = [];
  spans = [];
  arrivals = [];
  sampleRate = 0;
  samples = 0;
  result = null;
  /** Id of the request that is under way: a long text has several, one after the other. */
  request = "";
  /** Of the parts of the text before the one that comes: code points, and seconds of their audio. */
  #before = { characters: 0, seconds: 0 };
  /** True if it was stopped before all had come. */
  stopped = false;
  /** True if its connection broke before all had come. */
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

  /** Take a frame that came at ``now``; return its samples and spans, as parts of the whole. */
  add({ metadata, samples: given }, now) {
    this.sampleRate ||= metadata.sample_rate;
    const samples = resampled(given, metadata.sample_rate, this.sampleRate);
    this.pieces.push(samples);
    this.samples += samples.length;
    this.arrivals.push([(now - this.askedAt) / 1000, this.seconds]);
    const { characters, seconds } = this.#before;
    const spans = (metadata.spans ?? []).map(([start, end, from, to]) =>
      [start + characters, end + characters, from + seconds, to + seconds]);
    this.spans.push(...spans);
    return { samples, spans };
  }

  /** Take the result of a part of ``characters`` code points; what comes then is the next part's. */
  addResult(result, characters) {
    const { passages = [], unused = [] } = this.result ?? {};
    this.result = { ...(this.result ?? result), truncated: Boolean(this.result?.truncated || result.truncated) };
    this.result.passages = [...passages, ...(result.passages ?? [])];
    this.result.unused = [...new Set([...unused, ...(result.unused ?? [])])];
    this.#before = { characters: this.#before.characters + characters, seconds: this.seconds };
  }

  /** How much of the text was spoken, 0 to 1. */
  get progress() {
    return (this.spans.at(-1)?.[1] ?? 0) / Math.max(1, [...this.choice.text].length);
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

/** Samples at another rate; engines that speak parts of one text may differ in theirs. */
function resampled(samples, from, to) {
  if (from === to) return samples;
  const made = new Int16Array(Math.round((samples.length * to) / from));
  for (let n = 0; n < made.length; n++) {
    const at = Math.min((n * from) / to, samples.length - 1);
    const before = Math.floor(at);
    const after = Math.min(before + 1, samples.length - 1);
    made[n] = Math.round(samples[before] + (at - before) * (samples[after] - samples[before]));
  }
  return made;
}
