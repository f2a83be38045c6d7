/** The microphone, as samples. */

import { expected } from "./failures.js";

const RECORDER = new URL("recorder-worklet.js", import.meta.url);
export class Microphone {
  #stream = null;
  #context = null;

  /** True if this browser lets this page record: only over https, or on this machine itself. */
  static get possible() {
    return Boolean(navigator.mediaDevices?.getUserMedia) && typeof AudioWorkletNode === "function";
  }

  /** Have what it needs of the server, while that is there: a recording may begin without it. */
  static prepare() {
    if (Microphone.possible) new OfflineAudioContext(1, 1, 8000).audioWorklet.addModule(RECORDER).catch(expected([DOMException], () => {}));
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
      const context = (microphone.#context = new AudioContext());
      await context.audioWorklet.addModule(RECORDER);
      const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
      node.port.onmessage = ({ data }) => take(data, context.sampleRate);
      context.createMediaStreamSource(microphone.#stream).connect(node);
      await context.resume();
    } catch (error) {
      // Or the microphone would stay on without any sign of it.
      await microphone.close();
      throw error;
    }
    return microphone;
  }

  /** Let it go; done once nothing more is heard. */
  async close() {
    for (const track of this.#stream.getTracks()) track.stop();
    const context = this.#context;
    this.#context = null;
    await context?.close();
  }
}

/** The largest amplitude of samples. */
export const loudest = (samples) => samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
