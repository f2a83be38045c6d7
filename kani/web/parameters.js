/** Settings beyond the usual ones: each is sent only if it has a value, and shown only if an engine uses it. */

import { find, queryAll } from "./element.js";
import { percent, t } from "./i18n.js";
import { Memory } from "./storage.js";

const numberIn = ({ valueAsNumber: value }) => (Number.isNaN(value) ? undefined : value);

/** Readers of the parameters' fields, undefined for no value; those of a blend are the emotion's. */
const READ = {
  duration: numberIn,
  normalize: ({ value }) => (value ? false : undefined),
  lexicon: ({ value }) => readLexicon(value),
  seed: (field) => numberIn(field) && Math.trunc(numberIn(field)),
};

/** "SQL = sequel", a line each, as an object; undefined where there is none. */
function readLexicon(text) {
  const pairs = text.split("\n").map((line) => line.split("=").map((side) => side.trim()));
  const whole = pairs.filter(([word, said]) => word && said);
  return whole.length ? Object.fromEntries(whole.map(([word, said]) => [word, said])) : undefined;
}

export class Parameters {
  /** The fields, by their names. */
  #fields = Object.fromEntries(queryAll("[name]", find("parameter-fields")).map((field) => [field.name, field]));

  constructor() {
    const { blend, share, lexicon } = this.#fields;
    // Kept until the tab is closed; but not a length, which is that of one text.
    const memory = new Memory("kani.parameters", () => sessionStorage);
    const kept = Object.values(this.#fields).filter(({ name }) => name !== "duration");
    for (const field of kept) {
      field.value = memory.object[field.name] ?? field.value;
      field.addEventListener("input", () => (memory.text = JSON.stringify(Object.fromEntries(kept.map(({ name, value }) => [name, value])))));
    }
    const shows = () => {
      share.parentElement.hidden = !blend.value;
      share.ariaValueText = percent(share.valueAsNumber);
    };
    for (const field of [blend, share]) field.addEventListener("input", shows);
    shows();
    lexicon.addEventListener("change", () => {
      // "word = how it is said", a line each.
      const valid = lexicon.value.split("\n").every((line) => !line.trim() || /\S\s*=\s*\S/.test(line));
      find("parameter-lexicon-problem").textContent = valid ? "" : t("problem.lexicon");
      lexicon.ariaInvalid = String(!valid);
    });
  }

  /** Show the settings that these engines use: only the Kani model draws lots. */
  offer = (engines) => (this.#fields.seed.parentElement.hidden = !engines.includes("kani"));

  /** ``emotion`` and the second one as a blend of both, by their shares; undefined without a second one. */
  blended(emotion) {
    const { blend: { value: second }, share: { valueAsNumber: share } } = this.#fields;
    if (!second || second === emotion) return undefined;
    return `${emotion}:${(1 - share).toFixed(2)},${second}:${share.toFixed(2)}`;
  }

  /** The parameters that have a value, by name; a blend is the emotion's. */
  get chosen() {
    const shown = Object.entries(READ).filter(([name]) => !this.#fields[name].parentElement.hidden);
    const values = shown.map(([name, read]) => [name, read(this.#fields[name])]);
    return Object.fromEntries(values.filter(([, value]) => value !== undefined));
  }
}
