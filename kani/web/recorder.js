/** A recording of the microphone, as a WAV file. */

import { Microphone } from "./microphone.js";
import { wavFile } from "./wav.js";

/** A recording under way. */
export class Recorder {
  #microphone = null;
  #pieces = [];
  #samples = 0;
  #rate = 0;

  /**
   * Begin. Throws a DOMException if there is no microphone or no permission.
   * @param {number} longest longest recording in seconds
   * @param {(level: number, seconds: number, recorder: Recorder) => void} heard how loud it is (0 to 1), how long it is
   */
  static async begin(longest, heard) {
    const recorder = new Recorder();
    recorder.#microphone = await Microphone.open(false, (samples, rate) => recorder.#take(samples, rate, longest, heard));
    return recorder;
  }

  /** End; the recording (a mono WAV file) and its length in seconds. */
  async finish() {
    await this.#microphone.close();
    return { file: wavFile(this.#pieces, this.#rate), seconds: this.#rate && this.#samples / this.#rate };
  }

  #take(samples, rate, longest, heard) {
    this.#rate = rate;
    if (this.#samples >= longest * rate) return;
    this.#pieces.push(Int16Array.from(samples, (value) => Math.max(-1, Math.min(1, value)) * 32767));
    this.#samples += samples.length;
    heard(loudest(samples), this.#samples / rate, this);
  }
}

/** The largest amplitude of samples. */
export const loudest = (samples) => samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
