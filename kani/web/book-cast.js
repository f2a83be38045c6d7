/** Voices of a story: what is said in it has a voice of its own, and each person may have one. */

import { compose } from "./compose.js";
import { button, find, make, query, tell } from "./element.js";
import { expected } from "./failures.js";
import { keepNotes, notesOf } from "./history.js";
import { locale, t } from "./i18n.js";
import { sample } from "./sample.js";
import { inWords, server, ServerError } from "./server.js";
import { fill, isNatural, primary, voiceGroups } from "./voices.js";
import { SPEAKABLE } from "./words.js";

/** Characters of what a sample says, and persons of earlier chapters that the model is told. */
const [LONGEST_SAMPLE, MOST_KNOWN] = [200, 50];

/** A list's item with what somebody chooses of some groups, as fill has them. */
function chooser(name, groups, value, choose) {
  const select = make("select");
  fill(select, groups, value);
  select.addEventListener("change", () => choose(select.value));
  return make("li", {}, make("label", {}, make("span", { textContent: name, dir: "auto" }), select));
}

export class BookCast {
  #book = null;
  #at;
  #changed;

  /** @param {() => number} at the chapter @param {() => void} changed called when another voice speaks */
  constructor(at, changed) {
    this.#at = at;
    this.#changed = changed;
    find("book-show-cast").addEventListener("click", () => this.#show());
    find("cast-ask").addEventListener("click", () => this.#ask());
    find("book-cast").addEventListener("close", () => sample.stop());
  }

  /** Take another book. */
  open = (book) => (this.#book = book);

  /** The choices: voice: of what is said; voices: of persons, by their names; lines: by chapter who says each part, "" for nobody known. */
  get #cast() {
    const { voice = "", voices = {}, lines = {} } = notesOf(this.#book.id).object.cast ?? {};
    return { voice, voices, lines };
  }

  #keep(changed) {
    if (!keepNotes(this.#book.id, () => ({ cast: { ...this.#cast, ...changed } }))) tell(find("cast-state"), t("history.nowhere"));
    this.#changed();
  }

  get #chapter() {
    return this.#book.chapters[this.#at()];
  }

  /** The turns of a text that the chapter ends with: {from, to, voice}, "" for the narrator's; none where one voice reads. */
  turnsOf(text) {
    const { voice, voices, lines } = this.#cast;
    const { text: whole, dialogue = [] } = this.#chapter;
    const places = dialogue.flatMap(([from, to], n) => [[from, voices[lines[this.#at()]?.[n]] || voice], [to, ""]]);
    const turns = [];
    for (const [n, [begin, own]] of [[0, ""], ...places].entries()) {
      const [from, to] = [begin, places[n]?.[0] ?? whole.length].map((place) => Math.max(0, place - whole.length + text.length));
      const last = turns.at(-1);
      if (last && (last.voice === own || !SPEAKABLE.test(text.slice(from, to)))) last.to = to;
      else if (to > from) turns.push({ from, to, voice: own });
    }
    return turns.some(({ voice: own }) => own) ? turns : [];
  }

  async #show() {
    // An earlier version of the page kept no dialogue.
    tell(find("cast-state"), this.#chapter.dialogue ? "" : t("book.gone"));
    this.#fill();
    find("book-cast").showModal();
    find("cast-ask").hidden = !(await server.health().catch(expected([ServerError], () => null)))?.chat_model;
  }

  /** Show who has which voice, and who says each line of the chapter. */
  #fill() {
    const { voice, voices, lines } = this.#cast;
    const { text, dialogue = [] } = this.#chapter;
    const at = this.#at();
    const said = dialogue.map(([from, to]) => text.slice(from, to));
    const rows = Object.entries(voices).map(([name, own]) => this.#person(name, own, t("cast.dialogue"), said[lines[at]?.indexOf(name)] ?? name, (chosen) => this.#keep({ voices: { ...this.#cast.voices, [name]: chosen } })));
    const all = this.#person(t("cast.dialogue"), voice, t("cast.narrator"), said[0] ?? t("cast.dialogue"), (chosen) => this.#keep({ voice: chosen }));
    find("cast-list").replaceChildren(all, ...rows);
    find("cast-lines").hidden = !rows.length || !said.length;
    const names = [["", [["", t("cast.dialogue")], ...Object.keys(voices).map((name) => [name, name])]]];
    const speaks = (n, name) => said.map((_, one) => (one === n ? name : (this.#cast.lines[at]?.[one] ?? "")));
    find("cast-said").replaceChildren(...said.map((words, n) => chooser(words, names, lines[at]?.[n] ?? "", (name) => this.#keep({ lines: { ...this.#cast.lines, [at]: speaks(n, name) } }))));
  }

  /** A person with a voice; none: name of the voice that speaks where none is chosen; said: something for a sample. */
  #person(name, voice, none, said, choose) {
    const item = chooser(name, [["", [["", none]]], ...voiceGroups(compose.voices, primary(compose.tongue))], voice, choose);
    item.append(button("▶", () => {
      if (sample.sounds) return sample.stop();
      const own = query("select", item).value || this.#cast.voice || compose.speaking || compose.own(compose.tongue);
      return sample.hear(server.speech({ text: said.slice(0, LONGEST_SAMPLE), voice: own, speed: 1 }), (words) => tell(find("cast-state"), words));
    }, { className: "quiet", ariaLabel: `${t("kept.play")}: ${name}` }));
    return item;
  }

  /** Have the language model propose who says what in the chapter; who is new gets a voice that nobody has. */
  async #ask() {
    const at = this.#at();
    find("cast-ask").disabled = true;
    tell(find("cast-state"), t("cast.asking"));
    const book = this.#book;
    const { text, dialogue = [] } = this.#chapter;
    const asked = { text, language: book.language, known: Object.keys(this.#cast.voices).slice(-MOST_KNOWN) };
    const told = await server.speakers(asked).catch(inWords((words) => tell(find("cast-state"), words))).finally(() => (find("cast-ask").disabled = false));
    if (!told || this.#book !== book) return;
    if (told.lines.length !== dialogue.length) return tell(find("cast-state"), t("problem.failed", { message: `${told.lines.length} ≠ ${dialogue.length}` }));
    const { voice, voices, lines } = this.#cast;
    const taken = [compose.speaking, voice, ...Object.values(voices)];
    const able = compose.voices.filter((one) => primary(one.language) === primary(book.language || book.heard || locale) && (isNatural(one) || !compose.voices.some(isNatural)));
    const given = {};
    for (const { name, gender } of told.speakers.filter((one) => !(one.name in voices))) {
      const fitting = able.filter((one) => !gender || !one.gender || one.gender === gender);
      given[name] = (fitting.find(({ id }) => !taken.includes(id)) ?? fitting[0])?.id ?? "";
      taken.push(given[name]);
    }
    tell(find("cast-state"), t("cast.proposed"));
    this.#keep({ voices: { ...voices, ...given }, lines: { ...lines, [at]: told.lines.map((n) => told.speakers[n]?.name ?? "") } });
    this.#fill();
  }
}
