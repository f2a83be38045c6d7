/** The voices and languages of the server, as people call them. */

import { locale, t } from "./i18n.js";

const languageNames = new Intl.DisplayNames([locale], { type: "language", fallback: "code" });
const shortLanguageNames = new Intl.DisplayNames([locale], { type: "language", style: "short", fallback: "code" });
const regionNames = new Intl.DisplayNames([locale], { type: "region", style: "short", fallback: "code" });
const collator = new Intl.Collator(locale);

/** The first part of a language's tag. */
export const primary = (tag) => tag.split("-")[0];

/**
 * Name of a language, its tag if unknown.
 * @param {object[]} voices a language that the browser does not know is called by its voice's name
 */
export const languageName = (tag, voices = []) => nameIn(languageNames, tag, voices);

/** The same in few letters: US English. */
export const shortLanguageName = (tag) => nameIn(shortLanguageNames, tag);

function nameIn(names, tag, voices = []) {
  try {
    const name = names.of(tag);
    if (name === tag) return voices.find((voice) => primary(voice.language) === tag)?.name ?? tag;
    return name.charAt(0).toLocaleUpperCase(locale) + name.slice(1);
  } catch (error) {
    if (error instanceof RangeError) return tag;
    throw error;
  }
}

/** Name of a voice: Kokoro's `af_heart` is Heart, of the US; one of espeak-ng has its language's. */
export function voiceName(voice) {
  if (!isNatural(voice) && !voice.kept) return locale === "en" ? voice.name : roboticName(voice);
  const short = /^[a-z]{2}_(.+)$/.exec(voice.name)?.[1];
  if (!short) return voice.name;
  const name = short.charAt(0).toUpperCase() + short.slice(1);
  const region = accent(voice);
  return region ? `${name} · ${region}` : name;
}

/** Name of a voice without its region, for where that is told beside it. */
export const shortName = (voice) => (isNatural(voice) ? voiceName(voice).split(" · ")[0] : voiceName(voice));

/** Degrees of the colour wheel from one colour to the next: the golden angle, which keeps any few of them apart. */
const TURN = 137.508;
/** The first colour: the page's own. */
const FIRST_HUE = 172;
/** Degrees between the colours of neighbours, at least. */
const APART = 60;

const hues = new Map();
let turns = 0;

/** The colour of a voice's face, an angle of the colour wheel; a voice that was in no list has one of its name. */
export const hueOf = (id) => hues.get(id) ?? [...id].reduce((sum, point) => (sum * 137 + point.codePointAt(0)) % 360, 7);

/** Colour a list of voices by their places in it. A voice keeps its colour, unless the one above it looks alike. */
export function colourList(ids) {
  ids.forEach((id, n) => {
    const alike = () => n > 0 && 180 - Math.abs(180 - Math.abs(hueOf(id) - hueOf(ids[n - 1]))) < APART;
    while (!hues.has(id) || alike()) hues.set(id, (FIRST_HUE + TURN * turns++) % 360);
  });
}

/** Name of one of espeak-ng's voices in the page's language, with what only espeak-ng has a name for: "Inglés (New York)". */
function roboticName({ name, language }) {
  const known = languageName(language);
  if (known !== language) return known;
  const general = languageName(primary(language));
  const [, detail] = /\((.+)\)$/.exec(name) ?? [];
  return detail && general !== primary(language) ? `${general} (${detail})` : name;
}

let book = new Map();

/** Remember the voices, as the server tells them, so that `nameOf` knows them. */
export function learnVoices(voices) {
  book = new Map(voices.map((voice) => [voice.id, voice]));
}

/** Name of the voice with an id, or of a mix of them; "" for none. */
export function nameOf(id) {
  if (!id) return "";
  if (book.has(id)) return voiceName(book.get(id));
  return id.split("+").map((part) => voiceName({ name: part.replace(/^custom:|\(.*$/g, ""), language: "" })).join(" + ");
}

/** Id of the voice that a choice was spoken in: a stored one that was imitated, or what the server says in its result. */
export function heardVoice({ voice }, result) {
  const imitated = ["nearest voice", "embedding"].includes(result?.cloning);
  return (imitated && voice) || (result?.voice ?? voice);
}

/** Below and above these, a voice has a name for its sound: about a third of all voices each, or of its sex. */
const BRIGHTNESS = { female: [-17, -12], male: [-15, -11.5] };
const PITCHES = { female: [177, 218], male: [116, 140] };
const RANGES = [2.7, 3.8];
const PACES = [0.965, 1.045];
/** Names of its sound that a voice has at most. */
const MOST_TRAITS = 3;

/** The sound of a voice, where it was measured: names of words for what is unusual, or that the rest is not. */
export function traits({ gender, pitch_hz: pitch, pitch_range: range, pace, brightness_db: brightness }) {
  if (!pitch || !(gender in PITCHES)) return [];
  const outside = (value, [low, high], words) => (value < low ? [words[0]] : value > high ? [words[1]] : []);
  const unusual = [
    ...outside(brightness, BRIGHTNESS[gender], ["warm", "bright"]),
    ...outside(pitch, PITCHES[gender], ["deep", "high"]),
    ...outside(pace, PACES, ["unhurried", "brisk"]),
    ...outside(range, RANGES, ["steady", "lively"]),
  ];
  return unusual.length > 1 ? unusual.slice(0, MOST_TRAITS) : [...unusual, "balanced"];
}

/** Whether a voice sounds like a person; espeak-ng's are made of formants. */
export const isNatural = (voice) => voice.engine !== "espeak";

/** Name of the region of a voice's accent, "" where its language tells none. */
export function accent(voice) {
  const region = /-([A-Z]{2})\b/.exec(voice.language)?.[1];
  return region ? regionNames.of(region) : "";
}

/** Fill a <select>; groups: [label, [[value, words], …]], without a group where the label is "". */
export function fill(select, groups, chosen) {
  const option = ([value, words]) => new Option(words, value, false, value === chosen);
  select.replaceChildren(
    ...groups.flatMap(([label, choices]) => {
      if (!label) return choices.map(option);
      if (choices.length === 0) return [];
      const group = document.createElement("optgroup");
      group.label = label;
      group.append(...choices.map(option));
      return [group];
    }),
  );
}

/**
 * The languages as groups for `fill`: those with natural voices, then those with robotic ones.
 * @param {object} languages engine by language
 * @param {object[]} voices a language that the browser does not know is called by its voice's name
 */
export function languageGroups(languages, voices) {
  const tags = Object.keys(languages).map((tag) => [tag, languageName(tag, voices)]);
  tags.sort(([, one], [, other]) => collator.compare(one, other));
  const natural = tags.filter(([tag]) => languages[tag] !== "espeak");
  const robotic = tags.filter(([tag]) => languages[tag] === "espeak");
  return natural.length ? [["", natural], [t("voice.robotic"), robotic]] : [["", robotic]];
}

/**
 * The voices as groups for `fill`: kept ones, then those of each engine for `language`, or of every language, those
 * of the best engine first.
 * @param {object[]} voices as the server tells them
 * @param {string} language a tag, or "" for all
 * @param {string} kept what to call the group of kept voices
 */
export function voiceGroups(voices, language, kept) {
  const fitting = voices.filter((voice) => !voice.kept && (!language || primary(voice.language) === language));
  const ofLanguage = (voice) => (isNatural(voice) ? languageName(primary(voice.language)) : t("voice.robotic"));
  const label = (voice) => (language && isNatural(voice) ? languageName(language) : ofLanguage(voice));
  const labels = [...new Set(fitting.map(label))];
  if (!language) {
    // The server tells the voices of its best engine first: their languages come first here, too.
    const engines = [...new Set(fitting.map((voice) => voice.engine))];
    const best = (name) => engines.indexOf(fitting.find((voice) => label(voice) === name).engine);
    labels.sort((one, other) => best(one) - best(other) || collator.compare(one, other));
  }
  const choices = (some) => {
    const named = some.map((voice) => [voice.id, voiceName(voice)]);
    return some.every(isNatural) ? named : named.sort(([, one], [, other]) => collator.compare(one, other));
  };
  return [
    [kept, choices(voices.filter((voice) => voice.kept))],
    ...labels.map((name) => [name, choices(fitting.filter((voice) => label(voice) === name))]),
  ];
}
