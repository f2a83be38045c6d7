/** The ends of sentences. */

/** A pause of this length divides a sentence, and ends a cue. */
export const LONG_PAUSE_S = 1;
const SENTENCE_END = /[.!?…。！？।؟][\s"'»”’)\]」』*_]*$/u;
/** An initial, or a title: its full stop ends no sentence. */
const TITLE = /(?<![\p{L}\p{M}])(?:\p{Lu}|Mr|Mrs|Ms|Drs?|Dra|Prof|St|Sra?|Mme|Mlle|डॉ|د)\.$/u;
/** A quotation that its sentence goes on after: 「…。」と言う. */
const QUOTED = /[」』]$/u;
const GOES_ON = /^(?:と|って)/u;

/** True if a sentence goes on after a mark that ends others: after a title, in "approx. ten", and in "25.5" in a script without spaces. */
function goesOn({ text }, next) {
  if (TITLE.test(text) || /^\p{Ll}/u.test(next.text) || (QUOTED.test(text) && GOES_ON.test(next.text))) return true;
  return Boolean(next.glued) && text.endsWith(".") && /^\p{N}/u.test(next.text);
}

/** True if a sentence ends between two words. */
const ends = (word, next) => SENTENCE_END.test(word.text) && !goesOn(word, next);

/** The start of the sentence that holds a character. */
export function sentenceAt(text, place) {
  const parts = new Intl.Segmenter(undefined, { granularity: "sentence" }).segment(text);
  const { index, segment } = parts.containing(place);
  const before = index > 0 && text[index - 1] !== "\n" && parts.containing(index - 1).segment.trimEnd();
  return before && goesOn({ text: before }, { text: segment }) ? sentenceAt(text, index - 1) : index;
}

/** The start of the sentence after one that begins at a character; the text's length after the last. */
export function sentenceAfter(text, place) {
  const { index, segment } = new Intl.Segmenter(undefined, { granularity: "sentence" }).segment(text).containing(place);
  const next = index + segment.length;
  return next < text.length && sentenceAt(text, next) <= place ? sentenceAfter(text, next) : next;
}

/** True if a sentence ends between two words, or a long pause divides it there. */
export const divides = (word, next) => ends(word, next) || next.start - word.end >= LONG_PAUSE_S;
