/** Failures that are expected, and answered; any other goes on. */

/**
 * What answers the failures of a promise that are of some kinds: for its `catch`.
 * @param {Function[]} kinds classes of errors
 * @param {(error: any) => any} answer its result is the promise's
 */
export const expected = (kinds, answer) => (error) => {
  if (!kinds.some((kind) => error instanceof kind)) throw error;
  return answer(error);
};
