/** A sentence in each language that the server's voices speak. */

const answer = await fetch(new URL("examples.json", import.meta.url));
const EXAMPLES = answer.ok ? await answer.json() : {};

/** An example in ``language`` (its tag's first part), "" where there is none. */
export const example = (language) => EXAMPLES[language] ?? "";

/** Return true if ``text`` is one of the examples, which may be replaced. */
export const isExample = (text) => Object.values(EXAMPLES).includes(text);
