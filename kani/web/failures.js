/** Failures that are expected, and answered, or told; any other goes on. */

import { find, tell } from "./element.js";

/** What answers the failures of a promise that are of some kinds: for its `catch`. @param {Function[]} kinds classes of errors @param {(error: any) => any} answer its result is the promise's */
export const expected = (kinds, answer) => (error) => {
  if (!kinds.some((kind) => error instanceof kind)) throw error;
  return answer(error);
};

/** Say below the text what is wrong with it or with the server; "" for nothing. */
export const complain = (words) => tell(find("problem"), words);
