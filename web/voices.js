/** The voices and languages of the server, as people call them. */

import { locale } from "./i18n.js";

const languageNames = new Intl.DisplayNames([locale], { type: "language", fallback: "code" });
const regionNames = new Intl.DisplayNames([locale], { type: "region", fallback: "code" });
const collator = new Intl.Collator(locale);

/** The first part of a language's tag. */
export const primary = (tag) => tag.split("-")[0];

/** Name of a language, its tag if unknown. */
export function languageName(tag) {
  try {
    const name = languageNames.of(tag);
    return name.charAt(0).toLocaleUpperCase(locale) + name.slice(1);
  } catch (error) {
    if (error instanceof RangeError) return tag;
    throw error;
  }
}

/** Name of a voice: Kokoro's `af_heart` is Heart, of the United States. */
export function voiceName(voice) {
  const short = /^[a-z]{2}_(.+)$/.exec(voice.name)?.[1];
  if (!short) return voice.name;
  const region = /-([A-Z]{2})\b/.exec(voice.language)?.[1];
  const name = short.charAt(0).toUpperCase() + short.slice(1);
  return region ? `${name} · ${regionNames.of(region)}` : name;
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
 * The languages as groups for `fill`, by the engine that speaks them.
 * @param {object} languages engine by language
 * @param {object[]} voices whose name is that of a language which the browser does not know
 */
export function languageGroups(languages, voices) {
  const named = (tag) => voices.find((voice) => primary(voice.language) === tag)?.name ?? tag;
  const known = (tag) => languageName(tag).toLowerCase() !== tag;
  const tags = Object.keys(languages).map((tag) => [tag, known(tag) ? languageName(tag) : named(tag)]);
  tags.sort(([, one], [, other]) => collator.compare(one, other));
  const engines = [...new Set(Object.values(languages))];
  const groups = engines.map((engine) => [engine, tags.filter(([tag]) => languages[tag] === engine)]);
  groups.sort(([, one], [, other]) => one.length - other.length);
  return groups.length > 1 ? groups : groups.map(([, choices]) => ["", choices]);
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
  const label = (voice) => (language ? voice.engine : languageName(primary(voice.language)));
  const labels = [...new Set(fitting.map(label))];
  if (!language) {
    // The server tells the voices of its best engine first: their languages come first here, too.
    const engines = [...new Set(fitting.map((voice) => voice.engine))];
    const best = (name) => engines.indexOf(fitting.find((voice) => label(voice) === name).engine);
    labels.sort((one, other) => best(one) - best(other) || collator.compare(one, other));
  }
  const choices = (some) => some.map((voice) => [voice.id, voiceName(voice)]);
  return [
    [kept, choices(voices.filter((voice) => voice.kept))],
    ...labels.map((name) => [name, choices(fitting.filter((voice) => label(voice) === name))]),
  ];
}
