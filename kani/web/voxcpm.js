/** What VoxCPM's model is asked with, by the defaults and ranges of its protocol: each is sent only if it was changed. */

import { field, make } from "./element.js";
import { addTexts, number, t } from "./i18n.js";
import { texts } from "./texts-features.js";

/** The fields, by their parameters' names: the values of one with a choice, and the step of a number. */
const FIELDS = {
  mode: { values: { streaming: "parameters.streaming", non_streaming: "parameters.non_streaming" } },
  cfg_value: { step: 0.1 },
  inference_timesteps: { step: 1 },
  prompt_wav_url: {},
  denoise: { values: { false: "parameters.no", true: "parameters.yes" } },
  retry_badcase: { values: { true: "parameters.yes", false: "parameters.no" } },
};

export class VoxcpmFields {
  #defaults;
  #note;
  /** The fields by their parameters' names, and the labels' texts. */
  #fields = new Map();

  /**
   * @param {HTMLElement} place that is shown
   * @param {Record<string, any>} config of /api/config: the default of each parameter, and the ends of each range
   */
  constructor(place, { default_params: defaults, constraints }) {
    addTexts(texts);
    this.#defaults = defaults;
    const box = make("div", { className: "choices" });
    for (const [name, { values, step }] of Object.entries(FIELDS)) {
      const range = constraints[`${name}_range`];
      const control = values ? select(values) : range ? numeric(range, step) : address();
      control.id = `parameter-${name}`;
      control.value = defaults[name] ?? "";
      const ends = range?.map((end) => number(end, Number.isInteger(end) ? 0 : 1)).join("–");
      const words = [t(`parameters.${name}`), ...(range ? [ends] : [])];
      box.append(field(control, ...words.map((textContent, n) => make("span", { className: n ? "value" : "", textContent }))));
      this.#fields.set(name, control);
    }
    this.#note = make("p", { className: "note", role: "status" });
    place.append(box, this.#note);
    place.hidden = false;
  }

  /** The parameters that are not as they come, by name. */
  get chosen() {
    const values = [...this.#fields].map(([name, field]) => [name, read(field, this.#defaults[name])]);
    return Object.fromEntries(values.filter(([name, value]) => value !== undefined && value !== this.#defaults[name]));
  }

  /** Tell which of them had no effect. */
  told({ engine, unused = [] }) {
    const names = unused.filter((name) => this.#fields.has(name)).map((name) => t(`parameters.${name}`));
    this.#note.textContent = names.length ? t("parameters.ignored", { engine, names: names.join(", ") }) : "";
  }
}

/** The value of a field, of its default's type; undefined for none. */
function read(field, usual) {
  if (field.type === "number") return Number.isNaN(field.valueAsNumber) ? undefined : within(field);
  return typeof usual === "boolean" ? field.value === "true" : field.value || undefined;
}

const select = (values) => make("select", {}, ...Object.entries(values).map(([value, name]) => new Option(t(name), value)));

function numeric([min, max], step) {
  const made = make("input", { type: "number", min, max, step });
  made.addEventListener("change", () => {
    if (!Number.isNaN(made.valueAsNumber)) made.valueAsNumber = within(made);
  });
  return made;
}

/** The number of a field, moved into its range; a whole one where only those are taken. */
function within({ valueAsNumber: value, min, max, step }) {
  return Math.min(Number(max), Math.max(Number(min), step === "1" ? Math.round(value) : value));
}

const address = () => make("input", { type: "url", placeholder: "https://…/voice.wav" });
