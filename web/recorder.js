/** A recording of the microphone, as a WAV file. */

import { wavFile } from "./wav.js";

/** A recording under way. */
export class Recorder {
  #stream;
  #context;
  #pieces = [];
  #samples = 0;

  /** Whether this browser lets this page record: only over https, or on this machine itself. */
  static get possible() {
    return Boolean(navigator.mediaDevices?.getUserMedia) && typeof AudioWorkletNode === "function";
  }

  /**
   * Begin. Throws a DOMException if there is no microphone or no permission.
   * @param {number} longest longest recording in seconds
   * @param {(level: number, seconds: number, recorder: Recorder) => void} heard how loud it is (0 to 1), how long it is
   */
  static async begin(longest, heard) {
    const recorder = new Recorder();
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false };
    recorder.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    try {
      await recorder.#listen(longest, heard);
    } catch (error) {
      // Or the microphone would stay on without any sign of it.
      recorder.#release();
      await recorder.#context?.close();
      throw error;
    }
    return recorder;
  }

  async #listen(longest, heard) {
    this.#context = new AudioContext();
    await this.#context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
    const shape = { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" };
    const node = new AudioWorkletNode(this.#context, "recorder", shape);
    node.port.onmessage = ({ data }) => this.#take(data, longest, heard);
    this.#context.createMediaStreamSource(this.#stream).connect(node);
    await this.#context.resume();
  }

  #release() {
    for (const track of this.#stream.getTracks()) track.stop();
  }

  /** End; the recording (a mono WAV file) and its length in seconds. */
  async finish() {
    this.#release();
    const { sampleRate } = this.#context;
    await this.#context.close();
    return { file: wavFile(this.#pieces, sampleRate), seconds: this.#samples / sampleRate };
  }

  #take(samples, longest, heard) {
    const { sampleRate } = this.#context;
    if (this.#samples >= longest * sampleRate) return;
    this.#pieces.push(Int16Array.from(samples, (value) => Math.max(-1, Math.min(1, value)) * 32767));
    this.#samples += samples.length;
    const loudest = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    heard(loudest, this.#samples / sampleRate, this);
  }
}
