/** Settings beyond the usual ones: each is sent only if it has a value, and shown only if an engine uses it. */

import { field, make } from "./element.js";
import { percent, t } from "./i18n.js";
import { Memory } from "./storage.js";

const LONGEST_S = 300;

/** A field: what makes it, and the parameter's value, undefined for none. */
const FIELDS = {
  blend: {
    field: (emotions) =>
      make("select", {}, new Option("–", ""), ...emotions.map((emotion) => new Option(t(`emotion.${emotion}`), emotion))),
    read: () => undefined,
  },
  share: {
    field: () => make("input", { type: "range", min: 0.05, max: 0.95, step: 0.05, value: 0.5 }),
    read: () => undefined,
  },
  duration: {
    field: () => make("input", { type: "number", min: 0.1, max: LONGEST_S, step: 0.1 }),
    read: (field) => (Number.isNaN(field.valueAsNumber) ? undefined : field.valueAsNumber),
  },
  normalize: {
    field: () => make("select", {}, new Option(t("parameters.yes"), ""), new Option(t("parameters.no"), "no")),
    read: (field) => (field.value ? false : undefined),
  },
  lexicon: {
    field: () => make("textarea", { rows: 2, placeholder: "SQL = sequel", spellcheck: false }),
    read: (field) => readLexicon(field.value),
  },
  seed: {
    // Only the Kani model draws lots.
    engine: "kani",
    field: () => make("input", { type: "number", min: 0, step: 1 }),
    read: (field) => (Number.isNaN(field.valueAsNumber) ? undefined : Math.trunc(field.valueAsNumber)),
  },
};

/** Whether each line that is not empty is "word = how it is said". */
export const isLexicon = (text) => text.split("\n").every((line) => !line.trim() || /\S\s*=\s*\S/.test(line));

/** "SQL = sequel", a line each, as an object; undefined where there is none. */
export function readLexicon(text) {
  const pairs = text.split("\n").map((line) => line.split("=").map((side) => side.trim()));
  const whole = pairs.filter(([word, said]) => word && said);
  return whole.length ? Object.fromEntries(whole.map(([word, said]) => [word, said])) : undefined;
}

export class Parameters {
  #boxes = new Map();

  /**
   * @param {HTMLElement} place where the fields are put
   * @param {string[]} emotions that may be blended
   */
  constructor(place, emotions) {
    for (const [name, { field: create, engine }] of Object.entries(FIELDS)) {
      const control = Object.assign(create(emotions), { id: `parameter-${name}` });
      const box = field(control, t(`parameters.${name}`));
      box.hidden = Boolean(engine);
      place.append(box);
      this.#boxes.set(name, { box, field: control });
    }
    this.#remember();
    const { box, field: share } = this.#boxes.get("share");
    const { field: second } = this.#boxes.get("blend");
    const shows = () => {
      box.hidden = !second.value;
      share.setAttribute("aria-valuetext", percent(share.valueAsNumber));
    };
    const { box: words, field: lexicon } = this.#boxes.get("lexicon");
    const fault = make("p", { className: "problem", id: "parameter-lexicon-problem", role: "alert" });
    lexicon.setAttribute("aria-describedby", fault.id);
    words.append(fault);
    lexicon.addEventListener("change", () => {
      const valid = isLexicon(lexicon.value);
      fault.textContent = valid ? "" : t("problem.lexicon");
      lexicon.setAttribute("aria-invalid", String(!valid));
    });
    second.addEventListener("input", shows);
    share.addEventListener("input", shows);
    shows();
  }

  /** Keep what is chosen until the tab is closed; but a length, which is that of one text. */
  #remember() {
    const memory = new Memory("kani.parameters", () => sessionStorage);
    const kept = [...this.#boxes].filter(([name]) => name !== "duration");
    for (const [name, { field }] of kept) {
      field.value = memory.object[name] ?? field.value;
      field.addEventListener("input", () => {
        memory.text = JSON.stringify(Object.fromEntries(kept.map(([other, { field: { value } }]) => [other, value])));
      });
    }
  }

  /** Show the settings that these engines use. */
  offer(engines) {
    for (const [name, { box }] of this.#boxes) {
      const { engine } = FIELDS[name];
      if (engine) box.hidden = !engines.includes(engine);
    }
  }

  /** ``emotion`` and the second one as a blend of both, by their shares; undefined without a second one. */
  blended(emotion) {
    const second = this.#boxes.get("blend").field.value;
    const share = this.#boxes.get("share").field.valueAsNumber;
    if (!second || second === emotion) return undefined;
    return `${emotion}:${(1 - share).toFixed(2)},${second}:${share.toFixed(2)}`;
  }

  /** The parameters that have a value, by name; a blend is the emotion's. */
  get chosen() {
    const shown = [...this.#boxes].filter(([, { box }]) => !box.hidden);
    const values = shown.map(([name, { field }]) => [name, FIELDS[name].read(field)]);
    return Object.fromEntries(values.filter(([, value]) => value !== undefined));
  }
}
