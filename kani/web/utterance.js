/** One thing that is said: what was asked for, and what of it has come. */

/** A binary frame of VoxCPM's protocol begins so, and has so many bytes before its metadata. */
const MAGIC = 0xaa55;
const HEAD = 8;
const decoder = new TextDecoder("utf-8", { fatal: true });

export class Utterance {
  pieces = [];
  /** As the protocol has them, each with the words that were spoken. */
  spans = [];
  /** Frames that came, and the seconds after which the latest did. */
  chunks = 0;
  #lastAt = 0;
  sampleRate = 0;
  samples = 0;
  /** The server's result: whole once it is complete, before that the speaker only, null until a frame has come. */
  result = null;
  #complete = false;
  #characters;
  /** Id of the request that is under way: a long text has several, one after the other. */
  request = "";
  /** Before the part of the text that comes: code points, seconds of audio. */
  #before = { characters: 0, seconds: 0 };
  /** Seconds of silence before its first sample. */
  #pause = 0;
  /** The beginning that it takes from another one, as code points and seconds, and what spoke that. */
  begun = { characters: 0, seconds: 0 };
  passages = [];
  /** True while this page asked for it itself, so that its coming can be watched: it is not played again. */
  live = true;
  /** Id of the one that it takes the place of, "" for none. */
  replaces = "";
  /** Id of the one before it in the same text, "" for none; and the character of the whole text at which it was stopped. */
  follows = "";
  at = 0;
  /** True if several voices speak it; the first may not be the text's. */
  inTurns = false;
  /** True if it was stopped before all had come. */
  stopped = false;
  /** True if not all came; and if its connection broke. */
  lost = false;
  broke = false;

  /** @param {string} id the request's @param {{text: string, [name: string]: any}} choice what was asked for: text, language, voice, emotion, speed … @param {number} askedAt when, on performance.now()'s clock */
  constructor(id, choice, askedAt) {
    this.id = id;
    this.choice = choice;
    this.#characters = Math.max(1, [...choice.text].length);
    this.askedAt = askedAt;
  }

  /** Begin with what was heard of the same text in another manner, up to the code point ``start`` of a sentence. */
  goOn({ pieces, spans, sampleRate, result, begun, passages }, start) {
    const seconds = spans.find(([from]) => from >= start)?.[2] ?? begun.seconds;
    this.spans = spans.filter(([from]) => from < start);
    this.sampleRate = sampleRate;
    for (const piece of pieces) this.#keep(piece.subarray(0, Math.max(0, Math.round(seconds * sampleRate) - this.samples)));
    this.begun = { characters: start, seconds: this.seconds };
    this.passages = [result, ...(result?.passages ?? passages)].filter(Boolean);
  }

  #keep(samples) {
    this.pieces.push(samples);
    this.samples += samples.length;
  }

  /** Take a frame that came at ``now``; return its samples and spans, as parts of the whole. */
  add({ metadata, samples: given }, now) {
    this.sampleRate ||= metadata.sample_rate;
    this.result ??= metadata.speaker ?? null;
    const samples = this.#afterPause(resampled(given, metadata.sample_rate, this.sampleRate));
    this.#keep(samples);
    this.chunks++;
    this.#lastAt = (now - this.askedAt) / 1000;
    const { characters, seconds } = this.#before;
    const spans = (metadata.spans ?? []).map(([start, end, from, to], n) => [start + characters, end + characters, from + seconds, to + seconds, metadata.spoken?.[n]]);
    this.spans.push(...spans);
    return { samples, spans };
  }

  /** Audio and spans from now on belong to the text from code point ``start`` on. @param {number} pause seconds of silence before it */
  beginPart(start, pause) {
    this.#before = { characters: this.begun.characters + start, seconds: this.seconds };
    this.#pause = pause;
  }

  /** Take the result of a part. */
  addResult(result) {
    const before = this.#complete ? this.result : null;
    const { voice = result.voice, passages = this.passages, unused = [] } = before ?? {};
    const other = result.voice === voice ? [] : [{ engine: result.engine, voice: result.voice, language: result.language }];
    this.result = {
      ...(before ?? result),
      truncated: Boolean(before?.truncated || result.truncated),
      passages: [...passages, ...other, ...(result.passages ?? [])],
      unused: [...new Set([...unused, ...(result.unused ?? [])])],
    };
    this.#complete = true;
  }

  /** The first samples of a part, after the pause before it. */
  #afterPause(samples) {
    if (this.#pause === 0) return samples;
    const silence = Math.round(this.#pause * this.sampleRate);
    this.#pause = 0;
    this.#before.seconds += silence / this.sampleRate;
    const joined = new Int16Array(silence + samples.length);
    joined.set(samples, silence);
    return joined;
  }

  /** The words that were spoken, as far as they have come. */
  get spoken() {
    return this.spans.map(([start, , , , said], n) => (n > 0 && start > this.spans[n - 1][1] ? " " : "") + (said ?? "")).join("");
  }

  /** Share of the text that was spoken, 0 to 1. */
  get progress() {
    return (this.spans.at(-1)?.[1] ?? 0) / this.#characters;
  }

  /** Seconds of audio that have come. */
  get seconds() {
    return this.sampleRate ? this.samples / this.sampleRate : 0;
  }

  /** Seconds that a second of audio took to come; NaN before any came. */
  get factor() {
    return this.chunks ? this.#lastAt / (this.seconds - this.begun.seconds) : NaN;
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

/**
 * Read a frame: 0xAA 0x55, type, 0, metadata and its length, samples and theirs.
 * @param {ArrayBuffer} buffer as it came from the socket
 * @returns {{metadata: Record<string, any>, samples: Int16Array}} samples: mono, in memory of their own
 * @throws {RangeError} if it is not a whole frame
 */
export function readFrame(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEAD + 4 || view.getUint16(0) !== MAGIC) throw new RangeError("not a frame");
  const payloadAt = HEAD + view.getUint32(4) + 4;
  if (payloadAt > buffer.byteLength) throw new RangeError("metadata cut short");
  const size = view.getUint32(payloadAt - 4);
  if (size % 2 || payloadAt + size > buffer.byteLength) throw new RangeError("samples cut short");
  const metadata = JSON.parse(decoder.decode(new Uint8Array(buffer, HEAD, payloadAt - 4 - HEAD)));
  // A copy, as a view would need an even offset. Every browser's processor is little-endian, as the samples are.
  return { metadata, samples: new Int16Array(buffer.slice(payloadAt, payloadAt + size)) };
}
