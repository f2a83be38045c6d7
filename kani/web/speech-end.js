/** When a speaker was last heard, by how loud the microphone was. */

/** Seconds of audio that are kept: a server may be late; and that are looked at. */
const KEPT_S = 60;
const LOOKED_AT_S = 10;
/** A level below which there is silence: -60 dB of full scale. */
const SILENCE = 0.001;

export class SpeechEnd {
  #pieces = [];

  /** Take a piece's level (0 to 1), the second of the audio at which it ends, and when it came. */
  add(level, second, at) {
    this.#pieces.push({ level: Math.max(level, SILENCE), second, at });
    while (this.#pieces[0].second < second - KEPT_S) this.#pieces.shift();
  }

  /** When, before a second of the audio, it was last louder than halfway, in decibels, from the quietest to the loudest; NaN if nothing is known. */
  before(second) {
    const heard = this.#pieces.filter((piece) => piece.second <= second && piece.second > second - LOOKED_AT_S);
    const levels = heard.map(({ level }) => level);
    const half = Math.sqrt(Math.min(...levels) * Math.max(...levels));
    return heard.findLast(({ level }) => level >= half)?.at ?? NaN;
  }
}
