/** The server's voices as a list: a click takes one and speaks a short text, its circle plays a sample, its star marks a favourite; so do Enter, Space and F. */

import { compose } from "./compose.js";
import { find, make, query, queryAll, tell } from "./element.js";
import { locale, number, t } from "./i18n.js";
import { sample } from "./sample.js";
import { server } from "./server.js";
import { Memory } from "./storage.js";
import { collator, fill, hueOf, isNatural, languageName, primary, shortLanguageName, shortName, sounds } from "./voices.js";
import { UNSPACED } from "./words.js";

/** Voices that are shown at first. */
const FEW = 5;

export class Gallery {
  #face = query(".face", /** @type {HTMLTemplateElement} */ (document.getElementById("gallery-face")).content);
  #box = query(".gallery");
  #list = find("gallery");
  #search = find("gallery-search");
  #language = find("gallery-language");
  #sex = find("gallery-sex");
  #memory = new Memory("kani.favourites", () => localStorage);
  #marked;
  /** Id of the voice with the sample that is heard, "" for none. */
  #playing = "";
  /** Object of the latest press that plays one. */
  #turn = {};
  #voices = [];
  /** Descriptions of their sounds, by id. */
  #sounds = new Map();
  /** Voices that are shown, in order; and the place of the one that keys act on. */
  #shown = [];
  #active = 0;
  #robots = false;

  constructor() {
    const kept = this.#memory.object.ids;
    this.#marked = new Set(Array.isArray(kept) ? kept : []);
    for (const field of [this.#search, this.#language, this.#sex]) field.addEventListener("input", () => this.#draw());
    this.#search.addEventListener("keydown", ({ key }) => key === "Enter" && this.#shown.length && this.#play(this.#shown[0]));
    this.#list.addEventListener("click", ({ target }) => this.#clicked(target));
    this.#list.addEventListener("keydown", (event) => this.#pressed(event));
    find("gallery-all").addEventListener("click", () => this.#open(!this.#all));
    // A long list would push away what is listened to and repeated.
    find("listen-repeat").addEventListener("change", () => this.#open(false));
    find("gallery-robots").addEventListener("click", () => {
      this.#robots = true;
      this.#draw();
    });
    find("voice").addEventListener("chosen", () => this.#draw());
    this.#box.addEventListener("toggle", ({ newState }) => newState === "closed" && this.#box.removeAttribute("popover"));
    find("voice-chip").addEventListener("click", () => {
      // On a narrow screen they come over the text, if the browser can do that.
      if (window.innerWidth < 980) this.#box.popover = "auto";
      if (this.#box.matches("[popover]")) this.#box.showPopover();
      this.#list.focus({ preventScroll: true });
      find("gallery-title").scrollIntoView({ block: "start" });
    });
  }

  /** Show these voices. */
  show(voices) {
    const rank = (voice) => (voice.kept ? 0 : isNatural(voice) ? 1 : 2);
    const byName = (one, other) => collator.compare(shortName(one), shortName(other));
    this.#voices = voices.slice().sort((one, other) => rank(one) - rank(other) || byName(one, other));
    this.#sounds = sounds(this.#voices);
    const before = this.#language.options.length ? this.#language.value : locale;
    fill(this.#language, [["", [["", t("gallery.every")]]], ...compose.languages], before);
    this.#draw();
  }

  /** True if all are shown, with the fields that search them. */
  get #all() {
    return !find("gallery-filters").hidden;
  }

  #open(all) {
    find("gallery-filters").hidden = !all;
    // The button names the language of the text.
    if (all) this.#language.value = compose.tongue;
    // A keyboard on the screen would cover the list.
    if (all && !matchMedia("(pointer: coarse)").matches) this.#search.focus();
    this.#draw();
  }

  /** The language of the voices that are shown, "" for all. */
  get #tongue() {
    return this.#all ? this.#language.value : compose.tongue;
  }

  /** The voice of a language that speaks where none is chosen; undefined if it has none. */
  #own = (language) => this.#voices.find(({ id }) => id === compose.own(language));

  /** The voices that fit what is searched, the language's own first, favourites next; of all languages where none of it fits. */
  #fitting(language = this.#tongue) {
    const own = this.#own(language);
    const wanted = this.#all ? words(this.#search.value).split(" ").filter(Boolean) : [];
    const fitting = this.#voices.filter((voice) => {
      const tongues = voice.language ? [languageName(voice.language), languageName(primary(voice.language), this.#voices)] : [];
      const known = words([shortName(voice), ...this.#kind(voice, language), this.#sounds.get(voice.id) ?? "", ...tongues].join(" "));
      const fits = wanted.every((word) => known.includes(UNSPACED.test(word) ? word : ` ${word}`));
      const speaks = !language || !voice.language || primary(voice.language) === language || voice === own;
      return fits && speaks && (!this.#all || !this.#sex.value || voice.gender === this.#sex.value);
    });
    if (!fitting.length && wanted.length && language) return this.#fitting("");
    const rank = (voice) => (voice === own ? 0 : this.#marked.has(voice.id) ? 1 : 2);
    return fitting.sort((one, other) => rank(one) - rank(other));
  }

  /** The few of them that differ most: the first ones, then one of each accent and sex. */
  #few(fitting) {
    const kind = (voice) => `${voice.language} ${voice.gender}`;
    const own = this.#own(this.#tongue);
    const first = fitting.filter((voice) => voice === own || voice.kept || this.#marked.has(voice.id));
    const kinds = new Set(first.map(kind));
    const others = fitting.filter((voice) => !first.includes(voice));
    const differing = others.filter((voice) => !kinds.has(kind(voice)) && kinds.add(kind(voice)));
    const few = [...new Set([...first, ...differing, ...others])].slice(0, Math.max(FEW, first.length));
    // The one that is chosen stays where it was: the list does not move under the finger.
    return fitting.filter((voice) => few.includes(voice) || voice.id === compose.choice.voice);
  }

  /** Show the voices again. @param {string} active id of the one that keys act on then @param {number} at its place, for the next one if it is not shown any more */
  #draw(active = compose.speaking, at = 0) {
    const fitting = this.#fitting();
    const natural = fitting.filter((voice) => voice.kept || isNatural(voice));
    const searched = this.#all && (this.#search.value || this.#robots);
    // A language that only robots speak has them beside a stored voice.
    const some = natural.some(({ kept }) => !kept) && !searched ? natural : fitting;
    this.#shown = this.#all ? some : this.#few(some);
    const label = (voice) => (voice.kept ? t("kept.title") : isNatural(voice) ? shortLanguageName(voice.language) : t("voice.robotic"));
    // The language's own voice and the favourites stand above the groups.
    const above = (voice) => !this.#all || voice === this.#own(this.#tongue) || this.#marked.has(voice.id);
    const names = this.#shown.map((voice) => (above(voice) ? "" : label(voice)));
    const groups = [...new Set(names)].map((name) => [name, this.#shown.filter((_, n) => names[n] === name)]);
    this.#shown = groups.flatMap(([, voices]) => voices);
    const found = this.#shown.findIndex(({ id }) => id === active);
    this.#active = found < 0 ? Math.min(at, this.#shown.length - 1) : found;
    document.documentElement.style.setProperty("--speaks", hueOf(compose.speaking));
    this.#list.replaceChildren(...groups.map(([name, voices]) => {
      const cards = voices.map((voice) => this.#card(voice, name));
      if (!name) return make("div", { role: "presentation" }, ...cards);
      return make("div", { role: "group", ariaLabel: name }, make("h3", { textContent: name, ariaHidden: "true" }), ...cards);
    }));
    const more = this.#shown.length < some.length ? t("gallery.all", { n: number(some.length), language: languageName(this.#tongue, this.#voices) }) : t("gallery.every");
    const hidden = !this.#all && this.#shown.length === this.#voices.length;
    Object.assign(find("gallery-all"), { textContent: this.#all ? t("gallery.fewer") : more, ariaExpanded: String(this.#all), hidden });
    find("gallery-robots").hidden = !this.#all || this.#shown.length === fitting.length;
    find("gallery-count").classList.toggle("hidden", this.#shown.length > 0);
    find("gallery-count").textContent = this.#all ? t(this.#shown.length ? "gallery.count" : "gallery.none", { n: number(this.#shown.length) }) : "";
    this.#point(false);
  }

  /** A voice; heading: of its group, "" without one, which is not said once more. */
  #card(voice, heading) {
    const name = shortName(voice);
    const marked = this.#marked.has(voice.id);
    const face = /** @type {HTMLElement} */ (this.#face.cloneNode(true));
    face.classList.toggle("playing", this.#playing === voice.id);
    face.style.setProperty("--hue", hueOf(voice.id));
    const kind = this.#kind(voice, this.#tongue).filter((fact) => fact !== heading).join(" · ");
    const facts = [
      make("b", { textContent: name }), " ",
      make("span", { className: "kind", textContent: kind }), " ",
      make("span", { className: "note", textContent: this.#sounds.get(voice.id) ?? "" }),
    ];
    const star = make("span", { className: `star${marked ? " marked" : ""}`, textContent: marked ? "★" : "☆", ariaHidden: "true" });
    const told = marked ? [make("span", { className: "hidden", textContent: `, ${t("gallery.marked")}` })] : [];
    const option = { id: `voice-${voice.id}`, role: "option", ariaSelected: String(voice.id === compose.speaking) };
    return make("div", option, face, make("span", { className: "who" }, ...facts), ...told, star);
  }

  /** True if a voice speaks a language with a foreign accent, as that language has no voice of its own. */
  #isForeign = (voice, language) => Boolean(language && voice.language) && voice === this.#own(language) && primary(voice.language) !== language;

  /** The kind of a voice: foreign where it is not of the language that it is offered for. */
  #kind(voice, language) {
    const foreign = this.#isForeign(voice, language);
    const kind = voice.kept ? t("gallery.own") : isNatural(voice) ? "" : t("gallery.robotic");
    const tongue = isNatural(voice) && voice.language ? shortLanguageName(voice.language) : "";
    return [tongue, voice.gender && t(`sex.${voice.gender}`), kind, foreign && t("gallery.foreign")].filter(Boolean);
  }

  /** Mark the voice that keys act on; moves: it was moved there, and is to be seen. */
  #point(moves) {
    const cards = queryAll("[role=option]", this.#list);
    cards.forEach((card, n) => card.classList.toggle("active", n === this.#active));
    if (!cards.length) return this.#list.removeAttribute("aria-activedescendant");
    this.#list.setAttribute("aria-activedescendant", cards[this.#active].id);
    if (moves) cards[this.#active].scrollIntoView({ block: "nearest" });
  }

  #clicked(target) {
    const card = target.closest("[role=option]");
    const voice = this.#shown.find(({ id }) => card?.id === `voice-${id}`);
    if (!voice) return;
    if (target.closest(".face")) this.#play(voice);
    else if (target.closest(".star")) this.#mark(voice);
    else this.#choose(voice);
  }

  #pressed(event) {
    const voice = this.#shown[this.#active];
    const moves = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    const acts = { Enter: () => this.#choose(voice), " ": () => this.#play(voice), f: () => this.#mark(voice), F: () => this.#mark(voice) };
    if (!voice || event.ctrlKey || event.metaKey || (!moves && !acts[event.key])) return;
    event.preventDefault();
    if (moves) this.#active = Math.min(Math.max(0, this.#active + moves), this.#shown.length - 1);
    else acts[event.key]();
    this.#point(true);
  }

  /** Take a voice; the one that is chosen gives way to the text's own. */
  #choose(voice) {
    const foreign = this.#isForeign(voice, this.#tongue);
    compose.choose(voice.id === compose.choice.voice ? "" : voice.id, foreign ? this.#tongue : "");
    this.#box.removeAttribute("popover");
    if (!find("compose-panel").hidden && compose.choice.text) compose.speak(true);
  }

  #mark(voice) {
    if (!this.#marked.delete(voice.id)) this.#marked.add(voice.id);
    this.#memory.text = JSON.stringify({ ids: [...this.#marked] });
    this.#draw(voice.id, this.#active);
  }

  async #play(voice) {
    if (this.#playing === voice.id) {
      this.#plays("");
      return sample.stop();
    }
    tell(find("gallery-problem"), "");
    this.#plays(voice.id);
    const turn = (this.#turn = {});
    await sample.hear(server.preview(voice.id, this.#tongue || locale), (words) => tell(find("gallery-problem"), words)).finally(() => this.#turn === turn && this.#plays(""));
  }

  #plays(id) {
    this.#playing = id;
    for (const card of queryAll("[role=option]", this.#list)) query(".face", card).classList.toggle("playing", card.id === `voice-${id}`);
  }
}

/** Words in lower case and without accents, a space before each. */
function words(text) {
  const plain = text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLocaleLowerCase(locale);
  return ` ${plain.replace(/[^\p{L}\p{M}\p{N}]+/gu, " ")}`;
}
