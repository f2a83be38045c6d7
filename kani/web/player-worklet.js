/** The jitter buffer on the audio thread: its messages come and go by the port. */

import { JitterBuffer } from "./jitter-buffer.js";

class Player extends AudioWorkletProcessor {
  buffer = new JitterBuffer(sampleRate, (event) => this.port.postMessage(event));

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.buffer.take(data);
  }

  process(inputs, [[output]]) {
    this.buffer.render(output, currentTime);
    return true;
  }
}

registerProcessor("player", Player);
