/** Files that are saved: their names, and the sound of WAV files. */

import { make } from "./element.js";
import { withoutMarks } from "./words.js";

const HEAD = 44;
/** Words of a name, and its characters. */
const WORDS = 5;
const LONGEST = 48;

/** The name of a file of a text: "good-morning-the-sun-is.wav". */
export function fileName(text, kind) {
  const words = withoutMarks(text).toLocaleLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  const name = words.slice(0, WORDS).join("-");
  return `${[...name].slice(0, LONGEST).join("") || "speech"}.${kind}`;
}

/** A mono WAV file of 16 bits. @param {any[]} pieces the samples in order, each an Int16Array or a Blob of them @param {number} sampleRate hertz @returns {Blob} */
export function wavFile(pieces, sampleRate) {
  const size = pieces.reduce((sum, piece) => sum + (piece.byteLength ?? piece.size), 0);
  const [riff, wave, format, data] = new Int32Array(Uint8Array.from("RIFFWAVEfmt data", (letter) => letter.charCodeAt(0)).buffer);
  // Every browser's processor is little-endian, as the file is: 1 and 1, and 2 and 16, are numbers of two bytes.
  const head = [riff, HEAD - 8 + size, wave, format, 16, 0x10001, sampleRate, 2 * sampleRate, 0x100002, data, size];
  return new Blob([Int32Array.from(head), ...pieces], { type: "audio/wav" });
}

/** Let the browser save a file. */
export function saveFile(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  // The browser has taken the data once the click has been handled.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
