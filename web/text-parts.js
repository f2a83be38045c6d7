/** A text in parts, each of which the server takes as one request. */

/** Ends of parts, the best first: of a paragraph, a sentence, a word. */
const ENDS = [/\n\s*/gu, /[.!?…]["'»”’)]*\s+|[。！？।؟]["'»”’)」』]*\s*/gu, /\s+/gu];

/**
 * Cut a text into parts of at most ``most`` code points; together they are the text.
 *
 * A part ends at the last end of a paragraph in its second half, else of a sentence, else of a word, else where it
 * is full.
 */
export function textParts(text, most) {
  const parts = [];
  let rest = [...text];
  while (rest.length > most) {
    const part = rest.slice(0, most).join("");
    const end = ENDS.map((pattern) => lastEnd(part, pattern)).find((at) => at >= part.length / 2) ?? part.length;
    const cut = part.slice(0, end);
    parts.push(cut);
    rest = rest.slice([...cut].length);
  }
  return [...parts, rest.join("")];
}

/** Where the last match of ``pattern`` ends, 0 without one. */
function lastEnd(part, pattern) {
  return [...part.matchAll(pattern)].reduce((_, { 0: mark, index }) => index + mark.length, 0);
}
