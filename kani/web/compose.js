/** The form of a request, which is remembered in this browser. */

import { part } from "./connection.js";
import { SpeedSlider } from "./delivery.js";
import { find, queryAll, tell, type } from "./element.js";
import { clock, isChosen, locale, number, percent, t } from "./i18n.js";
import { sizeLetters, usualPace } from "./stage.js";
import { Draft, Memory } from "./storage.js";
import { fill, languageGroups, languageName, nameOf, primary, shortName, voiceGroups } from "./voices.js";
import { direction } from "./words.js";

const LONGEST_TEXT = 5000;
const MOST_LANGUAGES = 20;
/** Parameters that are chosen elsewhere than in what is folded away, or are always there. */
const SEEN = ["text", "mode", "languages", "voice", "emotion"];
/** Length of a text of one or two words; how those begin that many say in other languages; and letters of all languages that are told apart by such words. */
const SHORT = 16;
const GREETING = /(?<!\p{L})(hola|gracias|grazie|buen[oa]s|bonjour|bonsoir|salut|merci|h[ae]llo|guten|danke|thanks|good|ciao|ol[aá]|obrigad[oa]|bo[am]|ich|je)(?!\p{L})/iu;
const NO_SCRIPT_BUT_LATIN = /^[\p{sc=Latn}\P{L}]*$/u;

class Compose {
  /** Called when the text is to be spoken; tries: to hear how a choice sounds. @type {(tries: boolean) => void} */
  speak = () => {};
  #text = find("text");
  #language = find("language");
  #voice = find("voice");
  #emotions = queryAll("#emotions input");
  #strength = find("strength");
  #speed = new SpeedSlider();
  #draft = new Draft("kani.compose");
  /** The settings that are folded away, once they were opened; and those of VoxCPM's model. */
  #parameters = null;
  #voxcpm = null;
  #config = {};
  #engines = [];
  #languages = {};
  /** The voices of the server. */
  voices = [];
  /** The text that needs not be kept: an example, or what is kept elsewhere; and a book's. */
  #given = "";
  #kept = "";
  #wanted;
  /** Id of the voice that the server chose for the text, and the language of that, "" while not known; and the voice of each language. */
  #heard = "";
  #spoken = "";
  #defaults = {};
  #told = "";

  constructor() {
    const kept = this.#draft.object;
    const name = (value) => (typeof value === "string" ? value : "");
    this.#wanted = { language: name(kept.language), voice: name(kept.voice) };
    // Text typed before this script ran stays.
    const untouched = kept.first || typeof kept.text !== "string";
    this.#text.value ||= untouched ? t("text.first") : kept.text;
    this.#text.placeholder = t("text.placeholder");
    if (kept.given || this.#text.value === t("text.first")) this.#given = this.#text.value;
    this.#feel(kept.emotion);
    this.#strength.value = String(kept.strength ?? 1);
    this.#speed.value = kept.speed;
    this.#offer();
    this.#takeShared();
    window.addEventListener("hashchange", () => this.#takeShared());
    const speaks = (event) => {
      event.preventDefault();
      this.speak(false);
    };
    find("compose").addEventListener("submit", speaks);
    // The server's choices for another text are not shown any more.
    this.#text.addEventListener("input", () => (this.#heard = this.#spoken = ""));
    this.#text.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && speaks(event));
    // The first text is there to be written over.
    this.#text.addEventListener("click", () => this.#text.value === t("text.first") && this.#text.select(), { once: true });
    find("clear").addEventListener("click", () => this.give(""));
    find("example").addEventListener("click", async () => {
      const { example } = await import("./examples.js");
      this.give(this.#exampleOf(example));
    });
    this.#language.addEventListener("change", () => {
      // A voice of another language waits until that is spoken again.
      this.#wanted.language = this.#language.value;
      this.#offer();
      this.#replaceExample();
    });
    this.#voice.addEventListener("change", () => (this.#wanted.voice = this.#voice.value));
    // A press on an emotion speaks the text, and does so anew when it is pressed again: that is how they are compared. An arrow key's click, which has no count, only chooses.
    for (const chip of this.#emotions) chip.addEventListener("click", ({ detail }) => detail > 0 && this.speak(true));
    find("player-voice").addEventListener("change", () => {
      this.choose(find("player-voice").value);
      this.speak(true);
    });
    find("compose").addEventListener("input", () => this.#changed());
    // Choices from before a reload.
    if (new Memory("kani.parameters", () => sessionStorage).text) this.showParameters();
    find("speak").disabled = false;
  }

  /** Take the request of a shared link, which is then taken from the address: a reload keeps what was changed. */
  async #takeShared() {
    if (!window.location.hash) return;
    const { sharedChoice } = await import("./share-link.js");
    const shared = sharedChoice(window.location.hash);
    if (!shared) return;
    window.history.replaceState(null, "", window.location.pathname + window.location.search);
    this.reuse(shared);
  }

  /** Take over the engine of each language, the voices, limits, names of engines, and each language's own voice; one that is undefined stays as it was. */
  offer(languages, voices, config, engines, defaults) {
    this.#defaults = defaults ?? this.#defaults;
    this.#engines = engines ?? this.#engines;
    this.#config = config ?? this.#config;
    this.#offerParameters();
    this.#languages = languages ?? this.#languages;
    this.voices = voices ?? this.voices;
    this.#offer();
  }

  /** Return true if there is a voice, or may be: a mix is in no list. */
  speaks = (voice) => this.voices.length === 0 || voice.includes("+") || this.voices.some(({ id }) => id === voice);

  /** Show the settings that are folded away. */
  async showParameters() {
    const { Parameters } = await part(() => import("./parameters.js"), find("parameter-fields"));
    this.#parameters ??= new Parameters();
    await this.#offerParameters();
    this.#changed();
  }

  /** Show the settings that the engines use; VoxCPM's on its page, too. */
  async #offerParameters() {
    this.#parameters?.offer(this.#engines);
    const wanted = this.#config.voxcpm_port || this.#engines.includes("voxcpm");
    if (!this.#parameters || !wanted || !this.#config.constraints) return;
    const { VoxcpmFields } = await part(() => import("./voxcpm.js"), find("voxcpm"));
    this.#voxcpm ??= new VoxcpmFields(this.#config);
  }

  /** Code points of the longest text of one request. */
  get longest() {
    return this.#config.constraints?.max_text_length ?? LONGEST_TEXT;
  }

  /** Show what had no effect, and which language and voice the server chose for a text, where it had the choice, until the text changes. */
  spoken({ text, language: asked, voice: chosen }, result) {
    this.#voxcpm?.told(result);
    const { language, voice } = result;
    if (text !== this.choice.text) return;
    this.#given = text;
    if (!language || asked) return;
    // The server remembers the region of a voice that was chosen.
    this.#heard = chosen ? this.own(language) : voice;
    this.#spoken = primary(language);
    this.#tellVoice();
  }

  /** The language of the text, as far as is known, else the page's. */
  get tongue() {
    return this.#language.value || this.#spoken || locale;
  }

  /** Id of the voice that speaks: the one that is chosen, or that the server has for the text; "" for a text that may be of another language than the page. */
  get speaking() {
    const { text } = this.choice;
    // One or two words may have no sign: unless they greet in another language, they are the page's.
    const short = text.length <= SHORT && !GREETING.test(text) && NO_SCRIPT_BUT_LATIN.test(text + t("text.first"));
    const known = this.#language.value || this.#spoken || short || new RegExp(`^$|${t("text.signs")}`, "iu").test(text);
    return this.#voice.value || (!this.#language.value && this.#heard) || (known ? this.own(this.tongue) : "");
  }

  /** Id of the voice that speaks a language where none is chosen; "" if it has none, or is not known. */
  own = (language) => this.#defaults[language] ?? this.voices.find((voice) => [voice.language, primary(voice.language)].includes(language))?.id ?? "";

  /** Id of the voice that was chosen, also before the voices are known. */
  chosen = () => this.#wanted.voice;

  /** The language that is spoken here, of a tag that a recogniser knows; "" for one that no voice has. */
  known = (tag) => tag in this.#languages ? tag : "";

  /** The languages that are offered, for another <select>. */
  get languages() {
    return languageGroups(this.#languages, this.voices);
  }

  /** Choose a voice by its id, and a language, if it is one that the voice has a foreign accent in. */
  choose(voice, language = "") {
    this.#wanted = { voice, language: language || this.#wanted.language };
    this.#offer();
  }

  /** Have a text of a language spoken in that, also if another one is chosen, or a voice of another; but one's own voice stays. voice: that of the text before. */
  suit(language, voice = this.#wanted.voice) {
    const fits = (tag = "") => !tag || !language || primary(tag) === primary(language);
    const { language: chosen } = this.#wanted;
    const named = this.voices.find(({ id }) => id === voice);
    this.#wanted = { language: fits(chosen) ? chosen : "", voice: named?.kept || fits(named?.language) ? voice : "" };
  }

  /** Put back what was once chosen; typed: its text is kept nowhere else. */
  reuse({ text, language, voice, emotion, strength = 1, speed }, typed = false) {
    this.give(text, typed);
    this.#wanted = { language, voice };
    this.#feel(emotion);
    this.#strength.value = String(strength);
    this.#speed.value = speed;
    this.#offer();
  }

  /** Choose an emotion; one that is not offered is "neutral". */
  #feel(emotion) {
    (this.#emotions.find(({ value }) => value === emotion) ?? this.#emotions[0]).checked = true;
  }

  /** The choice: text (trimmed), language, voice ("" for those of the text), emotion, its strength, speed. */
  get choice() {
    return {
      text: this.#text.value.trim(),
      language: this.#language.value,
      voice: this.#voice.value,
      emotion: this.#emotions.find(({ checked }) => checked).value,
      strength: Number(this.#strength.value),
      speed: this.#speed.value,
    };
  }

  /** Replace the text that is there; language: its own, if that is known; kept: of a book. What was typed can be brought back, with all that was chosen for it. */
  give(text, typed = false, language = "", kept = false) {
    const { choice } = this;
    if (choice.text && ![this.#given.trim(), text.trim()].includes(choice.text)) {
      // Without the server the browser's own undo is left.
      import("./toast.js").then(({ offerUndo }) => offerUndo(t("text.replaced"), () => this.reuse(choice, true), "text"), console.info);
    }
    this.#given = typed ? "" : text;
    this.#kept = kept ? text : "";
    // As if it were typed: the browser can undo that, and what was typed.
    if (!kept) this.#text.focus();
    this.#text.setSelectionRange(0, this.#text.value.length);
    type(this.#text, text);
    this.#spoken = primary(language);
    this.#offer();
  }

  /** The protocol's parameters of a choice: what is as it comes is left out. */
  params({ text, language, voice, emotion, strength, speed }) {
    const felt = emotion !== "neutral";
    const blended = this.#parameters?.blended(emotion);
    const languages = [...new Set([...(isChosen ? [locale] : []), ...navigator.languages])].slice(0, MOST_LANGUAGES);
    return {
      text,
      mode: "streaming",
      ...(language ? { language } : { languages }),
      ...(voice && { voice }),
      ...((felt || blended) && { emotion: blended ?? emotion }),
      ...(felt && strength !== 1 && { emotion_strength: strength }),
      ...(speed !== 1 && { speed }),
      ...this.#parameters?.chosen,
      ...this.#voxcpm?.chosen,
    };
  }

  /** The parameters of the part of a text after one that was spoken in ``language``; voiced: parts have voices of their own, which may speak another language. */
  following(params, language, voiced) {
    if (!params.languages) return params;
    // A short part by itself might be taken for another language.
    if (!voiced) return { ...params, language, languages: undefined };
    return { ...params, languages: [...new Set([language, ...params.languages])].slice(0, MOST_LANGUAGES) };
  }

  #offer() {
    const { language, voice } = this.#wanted;
    const known = language in this.#languages ? language : "";
    fill(this.#language, [["", [["", t("language.auto")]]], ...languageGroups(this.#languages, this.voices)], known);
    // A mix is in no list.
    const mixed = voice.includes("+") ? [["", [[voice, nameOf(voice)]]]] : [];
    const groups = [...mixed, ...voiceGroups(this.voices, known, this.tongue)];
    const there = groups.some(([, choices]) => choices.some(([id]) => id === voice));
    for (const select of [this.#voice, find("player-voice")]) fill(select, [["", [["", t("voice.default")]]], ...groups], there ? voice : "");
    // A language that is chosen says which way the text runs before there is any.
    this.#text.dir = direction(known);
    if (known) this.#text.lang = known;
    else this.#text.removeAttribute("lang");
    this.#told = "";
    this.#changed();
  }

  /** An example makes room for that of the language. */
  async #replaceExample() {
    const { example, isExample } = await import("./examples.js");
    // A text that is being written stays, and so does its selection, which the next letter will replace; so does one that is heard.
    if (document.activeElement?.id === "text" || "sounds" in find("stage").dataset) return;
    if (this.#text.value.trim() && !isExample(this.#text.value)) return;
    this.#text.value = this.#given = this.#exampleOf(example);
    this.#text.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** The example of the language that is chosen, or of the voice or the page; the text that is there, if it has none. */
  #exampleOf(example) {
    const spoken = this.voices.find(({ id }) => id === this.#voice.value)?.language;
    return example(this.#language.value || (spoken ? primary(spoken) : locale)) || this.#text.value;
  }

  #changed() {
    const { emotion, strength } = this.choice;
    find("strength-field").hidden = emotion === "neutral";
    find("strength-value").textContent = this.#strength.ariaValueText = percent(strength);
    const changed = Object.keys(this.params(this.choice)).filter((name) => !SEEN.includes(name)).length;
    find("parameters-changed").textContent = changed ? `· ${number(changed)}` : "";
    const text = this.#text.value;
    // The first text is that of the page's language, which may be another one next time.
    const first = text === t("text.first");
    const given = text.trim() === this.#given.trim();
    find("clear").hidden = !text || first;
    const time = clock(text.length / (usualPace(text) * this.#speed.value));
    tell(find("count"), text && !first ? t("text.count", { n: number(text.length), time }) : "");
    sizeLetters();
    this.#draft.object = { ...this.choice, text: text === this.#kept ? "" : text, first, given, ...this.#wanted };
    this.#tellVoice();
  }

  /** Tell which voice speaks, in the row of the buttons and to the list of voices. */
  #tellVoice() {
    const { speaking } = this;
    const told = `${speaking} ${this.#spoken} ${this.#voice.value} ${this.#language.value} ${this.voices.length}`;
    if (told === this.#told) return;
    this.#told = told;
    // The server's own choice: "Detect (English)".
    const language = this.#spoken && languageName(this.#spoken, this.voices);
    const choices = [[this.#language, t("language.auto"), language], ...[this.#voice, find("player-voice")].map((select) => [select, t("voice.default"), this.#spoken && nameOf(speaking)])];
    for (const [{ value, options }, words, chosen] of choices) options[0].text = chosen && !value ? `${words} (${chosen})` : words;
    const voice = this.voices.find(({ id }) => id === speaking);
    tell(find("parameters-title"), speaking ? t("parameters.in", { language: languageName(this.tongue, this.voices) }) : t("parameters.title"));
    find("voice-chip-name").textContent = voice ? shortName(voice) : nameOf(speaking) || t("voice.default");
    this.#voice.dispatchEvent(new Event("chosen"));
  }
}

/** The form of this page. */
export const compose = new Compose();
