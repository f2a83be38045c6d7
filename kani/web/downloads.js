/** Files of a result: its audio, and the times of its words. */

import { fileName } from "./file-name.js";
import { json, srt, timedWords, vtt } from "./subtitles.js";
import { saveFile, wavFile } from "./wav.js";

const TIMES = { srt: [srt, "application/x-subrip"], vtt: [vtt, "text/vtt"], json: [json, "application/json"] };

const nameOf = ({ choice }, kind) => fileName(choice.text, kind);

/**
 * Save a file of a result.
 * @param {import("./utterance.js").Utterance} utterance
 * @param {"wav"|"mp3"|"opus"|"srt"|"vtt"|"json"} kind the server encodes a compressed one, of the samples that came
 * @param {import("./server.js").Server} server
 */
export async function save(utterance, kind, server) {
  if (kind === "wav") return saveFile(wavFile(utterance.pieces, utterance.sampleRate), nameOf(utterance, kind));
  if (kind in TIMES) {
    const [write, type] = TIMES[kind];
    const words = timedWords(utterance.choice.text, utterance.spans);
    return saveFile(new Blob([write(words)], { type }), nameOf(utterance, kind));
  }
  saveFile(await server.audioFile(utterance, kind), nameOf(utterance, kind));
}
