/** Adding a voice from a recording or a file, with the speaker's consent; and deleting kept ones. */

import { seconds, t } from "./i18n.js";
import { Recorder } from "./recorder.js";
import { ServerError } from "./server.js";
import { fill } from "./voices.js";

const LONGEST_S = 60;
const METER_FALLS = 0.9;

const find = (id) => document.querySelector(`#${id}`);

export class VoiceDialog {
  #dialog = find("voice-dialog");
  #server;
  #changed;
  #recorder = null;
  #recording = null;
  #level = 0;

  /**
   * @param {Server} server
   * @param {(kept: string|null) => Promise<void>} changed the voices are others now; kept: the id of a new one
   */
  constructor(server, changed) {
    this.#server = server;
    this.#changed = changed;
    find("voice-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#keep();
    });
    find("voice-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#stop());
    find("record").addEventListener("click", () => (this.#recorder ? this.#stop() : this.#record()));
    find("voice-file").addEventListener("change", ({ target }) => {
      this.#recording = target.files[0] ?? null;
      find("recording-state").textContent = "";
    });
  }

  /**
   * Show it.
   * @param {Array} languages groups for `fill`
   * @param {object[]} voices of the server
   */
  open(languages, voices) {
    fill(find("voice-language"), [["", [["", t("clone.any")]]], ...languages], "");
    find("record").disabled = !Recorder.possible;
    find("recording-state").textContent = Recorder.possible ? "" : t("clone.insecure");
    this.#problem("");
    this.show(voices);
    this.#dialog.showModal();
  }

  /** Show which voices are kept now. */
  show(voices) {
    const kept = voices.filter((voice) => voice.kept);
    find("kept").hidden = kept.length === 0;
    find("kept-list").replaceChildren(
      ...kept.map((voice) => {
        const item = document.createElement("li");
        const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet" });
        button.textContent = t("history.delete");
        button.setAttribute("aria-label", t("clone.delete", { name: voice.name }));
        button.addEventListener("click", () => this.#delete(voice));
        item.append(voice.name, " ", button);
        return item;
      }),
    );
  }

  async #record() {
    this.#problem("");
    try {
      this.#recorder = await Recorder.begin(LONGEST_S, (level, length) => this.#heard(level, length));
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      this.#problem(t("clone.microphone"));
    }
  }

  #heard(level, length) {
    this.#level = Math.max(level, this.#level * METER_FALLS);
    find("record-level").value = this.#level;
    find("record").setAttribute("aria-pressed", "true");
    find("record-text").textContent = t("clone.recording-now", { length: seconds(length) });
    if (length >= LONGEST_S) this.#stop();
  }

  async #stop() {
    const recorder = this.#recorder;
    if (!recorder) return;
    this.#recorder = null;
    const { file, seconds: length } = await recorder.finish();
    this.#recording = new File([file], "recording.wav", { type: "audio/wav" });
    find("voice-file").value = "";
    find("record-level").value = this.#level = 0;
    find("record").removeAttribute("aria-pressed");
    find("record-text").textContent = t("clone.record");
    find("recording-state").textContent = t("clone.recorded", { length: seconds(length) });
  }

  async #keep() {
    await this.#stop();
    const name = find("voice-name").value.trim();
    const needed = [[name, "name"], [this.#recording, "recording"], [find("voice-consent").checked, "consent"]];
    const missing = needed.find(([there]) => !there);
    if (missing) return this.#problem(t(`clone.need-${missing[1]}`));
    const form = new FormData();
    form.set("name", name);
    form.set("audio", this.#recording);
    form.set("consent", find("consent-words").textContent);
    form.set("language", find("voice-language").value);
    await this.#ask(async () => {
      const { id } = await this.#server.keepVoice(form);
      this.#recording = null;
      find("voice-form").reset();
      await this.#changed(id);
      find("recording-state").textContent = t("clone.done");
    });
  }

  #delete(voice) {
    return this.#ask(async () => {
      await this.#server.deleteVoice(voice.id);
      await this.#changed(null);
      find("voice-name").focus();
    });
  }

  async #ask(asking) {
    this.#problem("");
    find("voice-keep").disabled = true;
    try {
      await asking();
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.#problem(error.kind === "offline" ? t("problem.offline") : error.message);
    } finally {
      find("voice-keep").disabled = false;
    }
  }

  #problem(words) {
    find("voice-problem").textContent = words;
  }
}
