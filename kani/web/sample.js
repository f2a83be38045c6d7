/** A recording that is played once, in whatever format the browser reads. */

import { sounds } from "./player.js";

class Sample {
  #context = null;
  /** @type {(event?: any) => void} */
  #end = () => {};

  /** Play what comes, and return once it was heard or stopped. Called in a click, as browsers want. Throws what ``coming`` throws, and a DOMException where the format is none of the browser's. @param {Promise<ArrayBuffer>} coming */
  async play(coming) {
    this.stop();
    const context = (this.#context = new AudioContext());
    try {
      const buffer = await context.decodeAudioData(await coming);
      if (this.#context !== context) return;
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(context.destination);
      await new Promise((end) => {
        this.#end = source.onended = end;
        source.start();
      });
    } finally {
      if (this.#context === context) this.#context = null;
      await context.close();
    }
  }

  /** Silence at once. */
  stop() {
    this.#context = null;
    this.#end();
  }
}

export const sample = new Sample();
sounds(sample);
