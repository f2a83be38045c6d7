/** The microphone: as samples, and as a recording. */

import { wavFile } from "./wav.js";

export class Microphone {
  #stream = null;
  #context = null;

  /** True if this browser lets this page record: only over https, or on this machine itself. */
  static get possible() {
    return Boolean(navigator.mediaDevices?.getUserMedia) && typeof AudioWorkletNode === "function";
  }

  /**
   * Open it. Throws a DOMException if there is no microphone or no permission.
   * @param {boolean} besideSpeech whether the page speaks meanwhile: its sound is then taken out of what is heard
   * @param {(samples: Float32Array, rate: number) => void} take mono samples at the device's rate in hertz
   */
  static async open(besideSpeech, take) {
    const microphone = new Microphone();
    const audio = { channelCount: 1, echoCancellation: besideSpeech, noiseSuppression: false };
    microphone.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    try {
      await microphone.#listen(take);
    } catch (error) {
      // Or the microphone would stay on without any sign of it.
      await microphone.close();
      throw error;
    }
    return microphone;
  }

  async #listen(take) {
    this.#context = new AudioContext();
    await this.#context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
    const shape = /** @type {const} */ ({ numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    const node = new AudioWorkletNode(this.#context, "recorder", shape);
    const { sampleRate } = this.#context;
    node.port.onmessage = ({ data }) => take(data, sampleRate);
    this.#context.createMediaStreamSource(this.#stream).connect(node);
    await this.#context.resume();
  }

  /** Let it go; done once nothing more is heard. */
  async close() {
    for (const track of this.#stream.getTracks()) track.stop();
    const context = this.#context;
    this.#context = null;
    await context?.close();
  }
}

/** A recording under way, which becomes a WAV file. */
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
