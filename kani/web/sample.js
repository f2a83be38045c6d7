/** A recording that is played once, in whatever format the browser reads. */

import { expected } from "./failures.js";
import { t } from "./i18n.js";
import { ServerError } from "./server.js";
import { sources } from "./sources.js";

class Sample {
  brief = true;
  #context = null;
  /** @type {(event?: any) => void} */
  #end = () => {};

  get sounds() {
    return this.#context !== null;
  }

  /** Play what comes, and return once it was heard or stopped. Called in a click, as browsers want. @param {Promise<ArrayBuffer>} coming may throw a ServerError @param {(words: string) => void} told called with what went wrong, if something did */
  async hear(coming, told) {
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
    } catch (error) {
      expected([DOMException, ServerError], ({ words = t("kept.unplayable") }) => told(words))(error);
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
