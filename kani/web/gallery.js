/** The server's voices as cards: heard by a click, searched, filtered, marked as favourites, chosen. */

import { locale, number, t } from "./i18n.js";
import { Sample } from "./sample.js";
import { ServerError } from "./server.js";
import { Memory } from "./storage.js";
import { accent, fill, isNatural, languageName, nameOf, primary } from "./voices.js";

const find = (id) => document.querySelector(`#${id}`);
const collator = new Intl.Collator(locale);

/** Scripts without spaces, where a word is found within others. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;

export class Gallery {
  #list = find("gallery");
  #search = find("gallery-search");
  #language = find("gallery-language");
  #sex = find("gallery-sex");
  #favourites = find("gallery-favourites");
  /** The field that holds the chosen voice. */
  #chosen = find("voice");
  #memory = new Memory("kani.favourites", () => localStorage);
  #marked;
  #sample = new Sample();
  #voices = [];
  #cards = new Map();
  #server;
  #acts;

  /**
   * @param {Server} server
   * @param {object} acts choose(id): speak with it; quiet(): nothing else is to be heard
   */
  constructor(server, acts) {
    this.#server = server;
    this.#acts = acts;
    const kept = this.#memory.object.ids;
    this.#marked = new Set(Array.isArray(kept) ? kept : []);
    fill(this.#sex, [["", [["", t("gallery.sex")], ...["female", "male"].map((sex) => [sex, t(`sex.${sex}`)])]]], "");
    for (const field of [this.#search, this.#language, this.#sex, this.#favourites]) {
      field.addEventListener("input", () => this.#filter());
    }
    this.#search.addEventListener("keydown", ({ key }) => {
      if (key === "Enter") this.#list.querySelector("li:not([hidden]) .play")?.click();
    });
    this.#chosen.addEventListener("chosen", () => this.#markChosen());
  }

  /** Show these voices: natural ones first, each kind by name. */
  show(voices) {
    const rank = (voice) => (voice.kept ? 0 : isNatural(voice) ? 1 : 2);
    const byName = (one, other) => collator.compare(nameOf(one.id), nameOf(other.id));
    this.#voices = voices.slice().sort((one, other) => rank(one) - rank(other) || byName(one, other));
    this.#offerLanguages();
    this.#cards = new Map(this.#voices.map((voice) => [voice.id, this.#card(voice)]));
    this.#list.replaceChildren(...this.#cards.values());
    this.#markChosen();
    this.#filter();
  }

  /** Stop playing a voice. */
  hush() {
    this.#sample.stop();
  }

  #offerLanguages() {
    const before = this.#language.options.length ? this.#language.value : locale;
    const tags = (voices) => [...new Set(voices.map((voice) => primary(voice.language)).filter(Boolean))];
    const natural = tags(this.#voices.filter(isNatural));
    const robotic = tags(this.#voices).filter((tag) => !natural.includes(tag));
    const named = (some) => {
      const choices = some.map((tag) => [tag, languageName(tag, this.#voices)]);
      return choices.sort(([, one], [, other]) => collator.compare(one, other));
    };
    const groups = [["", [["", t("gallery.every")], ...named(natural)]], [t("voice.robotic"), named(robotic)]];
    fill(this.#language, groups, [...natural, ...robotic].includes(before) ? before : "");
  }

  #filter() {
    const wanted = words(this.#search.value).split(" ").filter(Boolean);
    const shown = this.#voices.filter((voice) => {
      const known = words(`${this.#cards.get(voice.id).textContent} ${voice.language && languageName(voice.language)}`);
      const fits = wanted.every((word) => known.includes(UNSPACED.test(word) ? word : ` ${word}`));
      const language = !this.#language.value || !voice.language || primary(voice.language) === this.#language.value;
      const sex = !this.#sex.value || voice.gender === this.#sex.value;
      return fits && language && sex && (!this.#favourites.checked || this.#marked.has(voice.id));
    });
    const some = new Set(shown.map(({ id }) => id));
    for (const [id, card] of this.#cards) card.hidden = !some.has(id);
    find("gallery-count").textContent = t(shown.length ? "gallery.count" : "gallery.none", { n: number(shown.length) });
  }

  #markChosen() {
    for (const [id, card] of this.#cards) card.setAttribute("aria-current", String(id === this.#chosen.value));
  }

  #card(voice) {
    const name = nameOf(voice.id);
    const heading = Object.assign(document.createElement("h3"), { textContent: name });
    const kind = t(isNatural(voice) ? "gallery.natural" : "gallery.robotic");
    const language = voice.language ? languageName(primary(voice.language), this.#voices) : "";
    const facts = [name.includes(accent(voice)) ? "" : accent(voice), voice.gender && t(`sex.${voice.gender}`), kind];
    const note = Object.assign(document.createElement("p"), { className: "note" });
    note.append(
      Object.assign(document.createElement("span"), { className: "language", textContent: language && `${language} · ` }),
      facts.filter(Boolean).join(" · "),
    );
    const problem = Object.assign(document.createElement("p"), { className: "problem" });
    problem.setAttribute("role", "alert");
    const actions = Object.assign(document.createElement("div"), { className: "actions" });
    actions.append(
      this.#button("play", name, (button) => this.#play(voice, button, problem)),
      this.#button("use", name, () => this.#acts.choose(voice.id)),
      this.#star(voice, name),
    );
    const words = document.createElement("div");
    words.append(heading, note, problem);
    const card = document.createElement("li");
    card.append(words, actions);
    return card;
  }

  #button(action, name, act) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: `quiet ${action}` });
    label(button, action, name);
    button.addEventListener("click", () => act(button));
    return button;
  }

  #star(voice, name) {
    const star = Object.assign(document.createElement("button"), { type: "button", className: "quiet star" });
    star.setAttribute("aria-label", t("gallery.favourite", { name }));
    const shows = () => {
      const marked = this.#marked.has(voice.id);
      star.setAttribute("aria-pressed", String(marked));
      star.textContent = marked ? "★" : "☆";
    };
    star.addEventListener("click", () => {
      if (!this.#marked.delete(voice.id)) this.#marked.add(voice.id);
      this.#memory.text = JSON.stringify({ ids: [...this.#marked] });
      shows();
    });
    shows();
    return star;
  }

  async #play(voice, button, problem) {
    const playing = button.getAttribute("aria-pressed") === "true";
    this.#acts.quiet();
    problem.textContent = "";
    if (playing) return;
    const name = nameOf(voice.id);
    label(button, "hush", name);
    button.setAttribute("aria-pressed", "true");
    try {
      await this.#sample.play(this.#server.preview(voice.id, locale));
    } catch (error) {
      if (error instanceof ServerError) problem.textContent = error.words;
      else if (error instanceof DOMException) problem.textContent = t("kept.unplayable");
      else throw error;
    } finally {
      label(button, "play", name);
      button.setAttribute("aria-pressed", "false");
    }
  }
}

/** Words in lower case and without accents, a space before each. */
function words(text) {
  const plain = text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLocaleLowerCase(locale);
  return ` ${plain.replace(/[^\p{L}\p{M}\p{N}]+/gu, " ")}`;
}

/** Name what a button does, and to which voice. */
function label(button, action, name) {
  button.textContent = t(`kept.${action}`);
  button.setAttribute("aria-label", t("gallery.of", { action: button.textContent, name }));
}
