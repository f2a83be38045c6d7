/** Names of saved files: the first words of their text. */

import { withoutMarks } from "./words.js";

const WORDS = 5;
const LONGEST = 48;

/** The name of a file of a text: "good-morning-the-sun-is.wav". */
export function fileName(text, kind) {
  const words = withoutMarks(text).toLocaleLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  const name = words.slice(0, WORDS).join("-");
  return `${[...name].slice(0, LONGEST).join("") || "speech"}.${kind}`;
}
