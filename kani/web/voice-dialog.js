/** Adding a voice: from the microphone or a file, with the consent of the person who speaks. */

import { find, queryAll, takeDrops } from "./element.js";
import { expected } from "./failures.js";
import { number, seconds, t } from "./i18n.js";
import { loudest, Microphone } from "./microphone.js";
import { sample } from "./sample.js";
import { server, ServerError } from "./server.js";
import { quiet } from "./sources.js";
import { fill } from "./voices.js";
import { wavFile } from "./wav.js";
import "./texts-features.js";

const SHORTEST_S = 3;
const LONGEST_S = 60;
const METER_FALLS = 0.9;
const LONGEST_NAME = 64;
/** Names that the server takes. */
const NAME = /^[\p{L}\p{N}_-][\p{L}\p{M}\p{N}_-]*$/u;

/** Places for the errors of the fields of the server's form. */
const FIELDS = { name: "voice-name", language: "voice-language", audio: "voice-file", consent: "voice-consent" };

export class VoiceDialog {
  #dialog = find("voice-dialog");
  #kept;
  /** The recording under way: its microphone, pieces of samples, how many these are in all, their rate, and the level that is shown; null for nothing. */
  #recorder = null;
  #beginning = false;
  #stopping = Promise.resolve();
  #recording = null;
  /** Seconds of what was recorded here; NaN of a file, which the server knows better. */
  #length = NaN;

  /** @param {(voice: {id: string, name: string}) => Promise<void>} kept a voice is there that was not */
  constructor(kept) {
    this.#kept = kept;
    find("voice-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#keep();
    });
    this.#dialog.addEventListener("close", () => {
      sample.stop();
      this.#stop();
    });
    find("record").addEventListener("click", () => (this.#recorder ? this.#stop() : this.#record()));
    find("recording-play").addEventListener("click", () => sample.hear(this.#recording.arrayBuffer(), (words) => this.#complain("audio", words)));
    const chosen = (file) => {
      this.#take(file, NaN);
      find("recording-state").textContent = "";
    };
    find("voice-file").addEventListener("change", () => chosen(find("voice-file").files[0] ?? null));
    takeDrops(this.#dialog, chosen);
  }

  /** Show it. @param {Array} languages groups for `fill` */
  open(languages) {
    fill(find("voice-language"), [["", [["", t("clone.any")]]], ...languages], "");
    find("record").disabled = !Microphone.possible;
    if (!Microphone.possible) find("recording-state").textContent = t("clone.insecure");
    this.#clear();
    this.#dialog.showModal();
  }

  async #record() {
    if (this.#beginning) return;
    this.#beginning = true;
    this.#clear();
    quiet();
    const recorder = { microphone: null, pieces: [], samples: 0, rate: 0, level: 0 };
    const take = (samples, rate) => {
      if (recorder.samples >= LONGEST_S * rate) return;
      recorder.pieces.push(Int16Array.from(samples, (value) => Math.max(-1, Math.min(1, value)) * 32767));
      recorder.samples += samples.length;
      recorder.rate = rate;
      // The microphone's last message comes after the recording has ended.
      if (recorder !== this.#recorder) return;
      const length = recorder.samples / rate;
      recorder.level = Math.max(loudest(samples), recorder.level * METER_FALLS);
      find("record-level").value = String(recorder.level);
      find("record").ariaPressed = "true";
      find("record-text").textContent = t("clone.recording-now", { length: seconds(length) });
      if (length >= LONGEST_S) this.#stop();
    };
    recorder.microphone = await Microphone.open(false, take)
      .catch(expected([DOMException], () => this.#complain("audio", t("clone.microphone")) ?? null))
      .finally(() => (this.#beginning = false));
    this.#recorder = recorder.microphone && recorder;
    // It was closed while the browser asked.
    if (!this.#dialog.open) await this.#stop();
  }

  /** End the recording, if one is under way; done once it can be sent. */
  #stop() {
    const recorder = this.#recorder;
    this.#recorder = null;
    if (recorder) this.#stopping = this.#finish(recorder);
    return this.#stopping;
  }

  async #finish(recorder) {
    // Its last samples come while it closes.
    await recorder.microphone.close();
    const { pieces, samples, rate } = recorder;
    const length = rate && samples / rate;
    find("record-level").value = "0";
    find("record").ariaPressed = null;
    find("record-text").textContent = t("clone.record");
    // A slip does not replace what is long enough.
    if (length < SHORTEST_S && this.#recording && !(this.#length < SHORTEST_S)) {
      return this.#complain("audio", `${t("clone.short", { length: seconds(length) })} ${t("clone.stays")}`);
    }
    this.#take(new File([wavFile(pieces, rate)], "recording.wav", { type: "audio/wav" }), length);
    find("voice-file").value = "";
    find("recording-state").textContent = t("clone.recorded", { length: seconds(length) });
    this.#tooShort();
  }

  /** Have a recording, or none (null). */
  #take(recording, length) {
    sample.stop();
    this.#recording = recording;
    this.#length = length;
    find("recording-play").hidden = recording === null;
    this.#clear("audio");
  }

  /** Return true if the recording made here is too short; shows it. */
  #tooShort() {
    if (!(this.#length < SHORTEST_S)) return false;
    this.#complain("audio", t("clone.short", { length: seconds(this.#length) }));
    return true;
  }

  /** Return true if something is missing, or the name cannot be one; shows what. */
  #lacks(name) {
    const consent = find("voice-consent").checked;
    const needed = [[name, "name", "name"], [this.#recording, "recording", "audio"], [consent, "consent", "consent"]];
    const missing = needed.find(([there]) => !there);
    const misnamed = name && !NAME.test(name);
    if (misnamed) this.#complain("name", t("reason.bad_name", { limit: number(LONGEST_NAME) }));
    else if (missing) this.#complain(missing[2], t(`clone.need-${missing[1]}`));
    return misnamed || Boolean(missing);
  }

  async #keep() {
    await this.#stop();
    this.#clear();
    // A name is part of an address: "Ana María" becomes Ana-María.
    const name = find("voice-name").value.trim().replaceAll(/\s+/gu, "-");
    if (this.#lacks(name) || this.#tooShort()) return this.#point();
    const form = new FormData();
    form.set("name", name);
    form.set("audio", this.#recording);
    form.set("consent", find("consent-words").textContent);
    form.set("language", find("voice-language").value);
    const keeps = (disabled, words) => Object.assign(find("voice-keep"), { disabled, textContent: t(words) });
    keeps(true, "clone.keeping");
    const failed = expected([ServerError], ({ param, words }) => {
      this.#complain(param, words);
      this.#point();
    });
    const voice = await server.keepVoice(form).catch(failed).finally(() => keeps(false, "clone.keep"));
    if (!voice) return;
    find("voice-form").reset();
    find("recording-state").textContent = "";
    this.#take(null, NaN);
    this.#dialog.close();
    await this.#kept(voice);
  }

  /** Tell what is wrong with a field, at that field; with none of them, at the end. */
  #complain(param, words) {
    const field = FIELDS[param];
    find(field ? `${field}-problem` : "voice-problem").textContent = words;
    if (field) find(field).setAttribute("aria-invalid", "true");
  }

  /** Lead to what is wrong. */
  #point = () => queryAll("[aria-invalid]", this.#dialog)[0]?.focus();

  /** Nothing is wrong, with a field or with all of them. */
  #clear(param) {
    for (const field of param ? [FIELDS[param]] : Object.values(FIELDS)) {
      find(`${field}-problem`).textContent = "";
      find(field).removeAttribute("aria-invalid");
    }
    find("voice-problem").textContent = "";
  }
}
