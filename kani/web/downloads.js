/** Files of a result: its audio, and the times of its words. */

import { complain, expected } from "./failures.js";
import { percent, t } from "./i18n.js";
import { playback } from "./playback.js";
import { server } from "./server.js";
import { quiet } from "./sources.js";
import { timedWords, timesFile } from "./subtitles.js";
import { fileName, saveFile, wavFile } from "./wav.js";

/** Save a file of a result. @param {import("./utterance.js").Utterance} utterance @param {"wav"|"mp3"|"opus"|"srt"|"vtt"|"json"} kind the server encodes a compressed one, of the samples that came */
export async function save(utterance, kind) {
  const { choice: { text }, pieces, sampleRate, spans } = utterance;
  const kept = kind === "wav" ? wavFile(pieces, sampleRate) : timesFile(timedWords(text, spans), kind);
  saveFile(kept ?? (await server.audioFile(utterance, kind)), fileName(text, kind));
}

/** True while a video is being made. */
let filming = false;

/** Save what is shown as a video of its words. */
export async function saveVideo(shape) {
  if (filming) return;
  filming = true;
  const { videoOf } = await import("./video.js");
  quiet();
  await videoOf(playback.shown, shape, (share) => playback.stage.say(t("video.making", { percent: percent(share) }), true))
    .catch(expected([DOMException, TypeError], () => complain(t("video.none"))))
    .finally(() => (filming = false));
  playback.stage.say("");
}
