/**
 * When the audio of a stream may begin to play.
 *
 * A stream that comes more slowly than it plays runs dry at once if its first frame is played. It is waited for
 * until what came since the first frame shows that it is fast enough, but no longer than WAIT_S.
 */

export const WAIT_S = 0.6;
/** Seconds of audio that have to come in a second. */
const FAST = 1.25;

export class StartGate {
  #first = null;
  #last = null;
  #pace;

  /** @param {number} pace seconds of audio that came in a second of the stream before; NaN if there was none */
  constructor(pace) {
    this.#pace = pace;
  }

  /** Take ``seconds`` of audio that came at ``now`` (seconds); return whether playback may begin. */
  take(seconds, now) {
    this.#first ??= { at: now, seconds };
    this.#last = { at: now, seconds: (this.#last?.seconds ?? 0) + seconds };
    return this.#pace >= FAST || this.pace >= FAST || now - this.#first.at >= WAIT_S;
  }

  /** Seconds of audio that came in a second since the first frame; NaN while there is one frame. */
  get pace() {
    if (this.#first === null || this.#last.at === this.#first.at) return NaN;
    return (this.#last.seconds - this.#first.seconds) / (this.#last.at - this.#first.at);
  }
}
