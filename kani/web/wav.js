/** WAV files. */

import { make } from "./element.js";

const HEAD = 44;

/**
 * A mono WAV file of 16 bits.
 * @param {Int16Array<ArrayBuffer>[]} pieces the samples, in order
 * @param {number} sampleRate hertz
 * @returns {Blob}
 */
export function wavFile(pieces, sampleRate) {
  const size = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const view = new DataView(new ArrayBuffer(HEAD));
  const letters = (at, text) => [...text].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  letters(0, "RIFF");
  view.setUint32(4, HEAD - 8 + size, true);
  letters(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  letters(36, "data");
  view.setUint32(40, size, true);
  return new Blob([view.buffer, ...pieces], { type: "audio/wav" });
}

/** Let the browser save a file. */
export function saveFile(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  // The browser has taken the data once the click has been handled.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
