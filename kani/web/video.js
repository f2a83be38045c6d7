/** A result as a video: its words over the waveform, each lit as it is said. */

import { make } from "./element.js";
import { complain, expected } from "./failures.js";
import { percent, t } from "./i18n.js";
import { playback } from "./playback.js";
import { quiet } from "./sources.js";
import { encoded } from "./video-encoding.js";
import { pictureOf } from "./video-picture.js";
import { fileName, saveFile } from "./wav.js";

const SHAPES = { square: { width: 1080, height: 1080 }, wide: { width: 1920, height: 1080 } };

/** True while a video is being made. */
let filming = false;

/** Save what is shown as a video of its words, made as fast as the machine can. */
export async function saveVideo(shape) {
  if (filming) return;
  filming = true;
  quiet();
  const [canvas, utterance] = [make("canvas", SHAPES[shape]), playback.shown];
  const told = (share) => playback.stage.say(t("video.making", { percent: percent(share) }), true);
  // Some browsers learn only with the first frame that the system's encoder does not work.
  const video = await (async () => encoded(canvas, pictureOf(canvas, utterance), utterance, told))()
    .catch(expected([DOMException, TypeError], console.info))
    .finally(() => (filming = false))
    .finally(() => playback.stage.say(""));
  if (video) saveFile(video, fileName(utterance.choice.text, `${shape}.mp4`));
  else complain(t("video.none"));
}
