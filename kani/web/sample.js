/** A recording that is played once, in whatever format the browser reads. */

import { sources } from "./sources.js";

class Sample {
  brief = true;
  #context = null;
  /** @type {(event?: any) => void} */
  #end = () => {};

  get sounds() {
    return this.#context !== null;
  }

  /** Play what comes, and return once it was heard or stopped. Called in a click, as browsers want. Throws what ``coming`` throws, and a DOMException where the format is none of the browser's. @param {Promise<ArrayBuffer>} coming */
  async hear(coming) {
    this.pause();
    sources.begin(this);
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
      if (this.#context === context) this.stop();
      await context.close();
    }
  }

  /** Silence at once. */
  pause() {
    this.#context = null;
    this.#end();
  }

  /** Silence; what it interrupted goes on. */
  stop() {
    if (!this.sounds) return;
    this.pause();
    sources.end();
  }
}

export const sample = new Sample();
sources.all.push(sample);
