/** VoxCPM's own parameters: each is sent only if its value was changed. */

import { t } from "./i18n.js";

const NUMBERS = {
  cfg_value: { min: 0.1, max: 10, step: 0.1, placeholder: "2.0" },
  inference_timesteps: { min: 1, max: 50, step: 1, placeholder: "10" },
  retry_badcase_max_times: { min: 0, max: 10, step: 1, placeholder: "3" },
  retry_badcase_ratio_threshold: { min: 1, max: 20, step: 0.1, placeholder: "6.0" },
  seed: { min: 0, step: 1, placeholder: "" },
};
const SWITCHES = ["normalize", "denoise", "retry_badcase"];
const TEXTS = { prompt_wav_url: "url", prompt_text: "text" };

export class Parameters {
  #fields = new Map();

  /** @param {HTMLElement} box where the fields are put */
  constructor(box) {
    for (const [name, limits] of Object.entries(NUMBERS)) {
      const input = Object.assign(document.createElement("input"), { type: "number", ...limits });
      this.#add(box, name, input, () => (Number.isNaN(input.valueAsNumber) ? undefined : input.valueAsNumber));
    }
    for (const name of SWITCHES) {
      const select = document.createElement("select");
      const words = { "": "parameters.default", "true": "parameters.yes", "false": "parameters.no" };
      select.append(...Object.entries(words).map(([value, word]) => new Option(t(word), value)));
      this.#add(box, name, select, () => (select.value ? select.value === "true" : undefined));
    }
    for (const [name, type] of Object.entries(TEXTS)) {
      const input = Object.assign(document.createElement("input"), { type });
      this.#add(box, name, input, () => input.value.trim() || undefined);
    }
  }

  /** The parameters that have a value, by name. */
  get chosen() {
    const chosen = [...this.#fields].map(([name, read]) => [name, read()]);
    return Object.fromEntries(chosen.filter(([, value]) => value !== undefined));
  }

  #add(box, name, field, read) {
    field.id = `parameter-${name}`;
    const label = Object.assign(document.createElement("label"), { htmlFor: field.id });
    const code = Object.assign(document.createElement("code"), { textContent: name });
    label.append(code);
    const around = Object.assign(document.createElement("div"), { className: "field" });
    around.append(label, field);
    box.append(around);
    this.#fields.set(name, read);
  }
}
