/** What sounds on this page: one thing at a time. */

const sources = new Set();

/** Have what plays sound be stopped by `quiet`. @param {{stop: () => void}} source */
export const sounds = (source) => sources.add(source);

/** Silence at once; but: what goes on. */
export function quiet(but = null) {
  for (const source of sources) if (source !== but) source.stop();
}
