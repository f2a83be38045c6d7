/** Parameters of VoxCPM's model, by the defaults and ranges of its protocol: each is sent only if it was changed. */

import { find, query, queryAll } from "./element.js";
import { number, t } from "./i18n.js";
import "./texts-features.js";

export class VoxcpmFields {
  #defaults;
  #place = find("voxcpm");
  /** The fields, which have their parameters' names. */
  #fields = queryAll("[name]", this.#place);

  /** @param {Record<string, any>} config of /api/config: the default of each parameter, and the ends of each range */
  constructor({ default_params: defaults, constraints }) {
    this.#defaults = defaults;
    for (const field of this.#fields) {
      field.value = defaults[field.name] ?? "";
      const range = constraints[`${field.name}_range`];
      if (!range) continue;
      [field.min, field.max] = range;
      query(".value", field.parentElement).textContent = range.map((end) => number(end, Number.isInteger(end) ? 0 : 1)).join("–");
      field.addEventListener("change", () => !Number.isNaN(field.valueAsNumber) && (field.valueAsNumber = within(field)));
    }
    this.#place.hidden = false;
  }

  /** The parameters that are not as they come, by name. */
  get chosen() {
    const values = this.#fields.map((field) => [field.name, read(field, this.#defaults[field.name])]);
    return Object.fromEntries(values.filter(([name, value]) => value !== undefined && value !== this.#defaults[name]));
  }

  /** Tell which of them had no effect. */
  told({ engine, unused = [] }) {
    const names = this.#fields.filter(({ name }) => unused.includes(name)).map(({ name }) => t(`parameters.${name}`));
    query(".note", this.#place).textContent = names.length ? t("parameters.ignored", { engine, names: names.join(", ") }) : "";
  }
}

/** The value of a field, of its default's type; undefined for none. */
function read(field, usual) {
  if (field.type === "number") return Number.isNaN(field.valueAsNumber) ? undefined : within(field);
  return typeof usual === "boolean" ? field.value === "true" : field.value || undefined;
}

/** The number of a field, moved into its range; a whole one where only those are taken. */
const within = ({ valueAsNumber: value, min, max, step }) => Math.min(Number(max), Math.max(Number(min), step === "1" ? Math.round(value) : value));
