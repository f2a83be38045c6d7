/** Files of a result: its audio, and the times of its words. */

import { server } from "./server.js";
import { timedWords, timesFile } from "./subtitles.js";
import { fileName, saveFile, wavFile } from "./wav.js";

/** Save a file of a result. @param {import("./utterance.js").Utterance} utterance @param {"wav"|"mp3"|"opus"|"srt"|"vtt"|"json"} kind the server encodes a compressed one, of the samples that came */
export async function save(utterance, kind) {
  const { choice: { text }, pieces, sampleRate, spans } = utterance;
  const kept = kind === "wav" ? wavFile(pieces, sampleRate) : timesFile(timedWords(text, spans), kind);
  saveFile(kept ?? (await server.audioFile(utterance, kind)), fileName(text, kind));
}
