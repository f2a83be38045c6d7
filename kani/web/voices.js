/** The voices and languages of the server, as people call them. */

import { make } from "./element.js";
import { locale, t } from "./i18n.js";

/**
 * A voice as the server tells it; kept: a stored one; language: "" for every one.
 * @typedef {{id: string, name: string, language: string, gender?: string, engine: string, kept?: boolean, [measure: string]: any}} Voice
 */

const languageNames = new Intl.DisplayNames([locale], { type: "language", fallback: "code" });
const shortLanguageNames = new Intl.DisplayNames([locale], { type: "language", style: "short", fallback: "code" });
const regionNames = new Intl.DisplayNames([locale], { type: "region", style: "short", fallback: "code" });
export const collator = new Intl.Collator(locale);

/** The first part of a language's tag. */
export const primary = (tag) => tag.split("-")[0];

/** Name of a language, its tag if unknown. @param {Voice[]} voices a language that the browser does not know is called by its voice's name */
export function languageName(tag, voices = [], names = languageNames) {
  try {
    const name = names.of(tag);
    if (name === tag) return voices.find((voice) => primary(voice.language) === tag)?.name ?? tag;
    return name.charAt(0).toLocaleUpperCase(locale) + name.slice(1);
  } catch (error) {
    if (error instanceof RangeError) return tag;
    throw error;
  }
}

/** The same in few letters: US English. */
export const shortLanguageName = (tag) => languageName(tag, [], shortLanguageNames);

/** Name of a voice: Kokoro's `af_heart` is Heart, of the US; one of espeak-ng has its language's. */
export function voiceName(voice) {
  if (!isNatural(voice) && !voice.kept) return locale === "en" ? voice.name : roboticName(voice);
  const short = /^[a-z]{2}_(.+)$/.exec(voice.name)?.[1];
  if (!short) return voice.name;
  const name = short.charAt(0).toUpperCase() + short.slice(1);
  const region = /-([A-Z]{2})\b/.exec(voice.language)?.[1];
  return region ? `${name} · ${regionNames.of(region)}` : name;
}

/** Name of a voice without its region, for where that is told beside it. */
export const shortName = (voice) => (isNatural(voice) ? voiceName(voice).split(" · ")[0] : voiceName(voice));

/** The colour of a voice's face, an angle of the colour wheel: that of its id, in whatever list it stands. */
export const hueOf = (id) => [...id].reduce((sum, point) => (sum * 137 + point.codePointAt(0)) % 360, 7);

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
export const learnVoices = (voices) => (book = new Map(voices.map((voice) => [voice.id, voice])));

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

/** Measures of a sound, the most telling first, with the words for less and for more of it than most have. */
const MEASURES = [
  ["pitch_hz", "deep", "high"],
  ["brightness_db", "warm", "bright"],
  ["pitch_range", "steady", "lively"],
  ["pace", "unhurried", "quick"],
];
/** The outer thirds of all places, which are from -1 to 1, have a word. */
const MIDDLE = 1 / 3;
const conjunction = new Intl.ListFormat(locale, { type: "conjunction" });

/** Describe how voices sound: each beside those of its language and sex, and unlike all others of its language. @param {Voice[]} voices as the server tells them @return {Map<string, string>} by id, those that were measured: "the deepest · warm and steady" */
export function sounds(voices) {
  const measured = voices.filter(({ gender, pitch_hz: pitch }) => gender && pitch);
  const told = new Set();
  const tell = (voice) => {
    const choices = phrases(voice, measured);
    const found = choices.find((words) => !told.has(`${primary(voice.language)} ${words}`)) ?? choices[0];
    told.add(`${primary(voice.language)} ${found}`);
    return found;
  };
  return new Map(measured.map((voice) => [voice.id, tell(voice)]));
}

/** Descriptions of a voice beside others, the most telling first. */
function phrases(voice, measured) {
  const sex = measured.filter(({ gender }) => gender === voice.gender);
  const kin = sex.filter(({ language }) => primary(language) === primary(voice.language));
  // With one or two of a language there is nothing to be told.
  const peers = kin.length > 2 ? kin : sex;
  const places = MEASURES.map(([name, less, more]) => {
    const sum = peers.reduce((all, peer) => all + Math.sign(voice[name] - peer[name]), 0);
    return { word: sum < 0 ? less : more, place: Math.abs(sum) / Math.max(1, peers.length - 1) };
  });
  const first = peers === kin ? places.findIndex(({ place }) => place === 1) : -1;
  const most = first < 0 ? [] : places.splice(first, 1).map(({ word }) => t(`most.${word}`));
  const words = (some) => some.map(({ word }) => t(`trait.${word}`));
  const clear = words(places.filter(({ place }) => place > MIDDLE));
  if (most.length === 0 && clear.length < 2) clear.push(t("trait.balanced"));
  const least = Math.min(2, clear.length);
  const all = words(places.filter(({ place }) => place > 0));
  const some = [parts(clear, least), parts(clear, 3), parts(all, 2), parts(all, 3)].flat();
  return some.map((part) => [...most, ...(part.length ? [conjunction.format(part)] : [])].join(" · "));
}

/** All choices of some of a list, those of its first ones first. */
function parts(list, size) {
  if (size === 0) return [[]];
  return list.flatMap((one, n) => parts(list.slice(n + 1), size - 1).map((rest) => [one, ...rest]));
}

/** True if a voice sounds like a person; espeak-ng's are made of formants. */
export const isNatural = (voice) => voice.engine !== "espeak";

/** Fill a <select>; groups: [label, [[value, words], …]], without a group where the label is "". */
export function fill(select, groups, chosen) {
  const options = (choices) => choices.map(([value, words]) => new Option(words, value, false, value === chosen));
  const shown = groups.filter(([label, choices]) => !label || choices.length > 0);
  select.replaceChildren(...shown.flatMap(([label, choices]) => (label ? make("optgroup", { label }, ...options(choices)) : options(choices))));
}

/** The languages as groups for `fill`: those with natural voices, then those with robotic ones. @param {Record<string, any>} languages engine by language @param {Voice[]} voices a language that the browser does not know is called by its voice's name */
export function languageGroups(languages, voices) {
  const tags = Object.keys(languages).map((tag) => [tag, languageName(tag, voices)]);
  tags.sort(([, one], [, other]) => collator.compare(one, other));
  const natural = tags.filter(([tag]) => languages[tag] !== "espeak");
  const robotic = tags.filter(([tag]) => languages[tag] === "espeak");
  return natural.length ? [["", natural], [t("voice.robotic"), robotic]] : [["", robotic]];
}

/** The voices as groups for `fill`: kept ones, then those of each engine for `language`, or of every language, those of the best engine first. @param {Voice[]} voices as the server tells them @param {string} language a tag, or "" for all, those of a ``first`` one before the others */
export function voiceGroups(voices, language, first = "") {
  const fitting = voices.filter((voice) => !voice.kept && (!language || primary(voice.language) === language));
  const ofLanguage = (voice) => (isNatural(voice) ? languageName(primary(voice.language)) : t("voice.robotic"));
  const label = (voice) => (language && isNatural(voice) ? languageName(language) : ofLanguage(voice));
  const labels = [...new Set(fitting.map(label))];
  if (!language) {
    // The server tells the voices of its best engine first: their languages come first here, too.
    const engines = [...new Set(fitting.map((voice) => voice.engine))];
    const best = (name) => engines.indexOf(fitting.find((voice) => label(voice) === name).engine);
    const later = (name) => Number(name !== languageName(first));
    labels.sort((one, other) => later(one) - later(other) || best(one) - best(other) || collator.compare(one, other));
  }
  const choices = (some) => {
    const named = some.map((voice) => [voice.id, voiceName(voice)]);
    return some.every(isNatural) ? named : named.sort(([, one], [, other]) => collator.compare(one, other));
  };
  return [
    [t("kept.title"), choices(voices.filter((voice) => voice.kept))],
    ...labels.map((name) => [name, choices(fitting.filter((voice) => label(voice) === name))]),
  ];
}
