/** Failures that are expected, and answered, or told, in the page's language where the server gives a code; any other goes on. */

import { find, tell } from "./element.js";
import { has, quoted, t } from "./i18n.js";

/** Return a handler for a promise's `catch` that answers failures of some kinds, and throws others. @param {Function[]} kinds classes of errors @param {(error: any) => any} answer its result is the promise's */
export const expected = (kinds, answer) => (error) => {
  if (!kinds.some((kind) => error instanceof kind)) throw error;
  return answer(error);
};

/** Say below the text what is wrong with it or with the server; "" for nothing. */
export const complain = (words) => tell(find("problem"), words);

/** Names of the fields that a request's parameters are on the page. */
const FIELDS = {
  duration: "parameters.duration",
  emotion: "emotion.label",
  language: "language.label",
  lexicon: "parameters.lexicon",
  seed: "parameters.seed",
  speed: "speed.label",
  text: "text.label",
  voice: "voice.label",
  voice_id: "voice.label",
};

/** Words for a reason of the server, {code, values}, by their name; "" where the page has none. */
export function reasonWords(reason, name = `reason.${reason?.code}`) {
  if (!has(name)) return "";
  return t(name, Object.fromEntries(Object.entries(reason.values).map(([value, given]) => [value, quoted(given)])));
}

/** Words for an error of the socket: {code, message, reasons: those of the parameters, where they have a code}. */
export function explain({ code, message, reasons = {} }) {
  const faults = Object.entries(reasons)
    .map(([name, reason]) => [FIELDS[name], reasonWords(reason)])
    .filter(([field, fault]) => field && fault)
    .map(([field, fault]) => `${t(field)} – ${fault}`);
  return t(has(`problem.${code}`) ? `problem.${code}` : "problem.failed", { message: faults.join("; ") || message });
}
