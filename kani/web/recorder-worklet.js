/** Passes on what the microphone hears, on the audio thread: {samples: Float32Array}, mono. */

class Recorder extends AudioWorkletProcessor {
  process([[samples]]) {
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
}

registerProcessor("recorder", Recorder);
