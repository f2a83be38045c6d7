/** A result as a video: its words over the waveform, each lit as it is said. */

import { make } from "./element.js";
import { complain, expected } from "./failures.js";
import { percent, t } from "./i18n.js";
import { playback } from "./playback.js";
import { quiet } from "./sources.js";
import { codecs, encoded } from "./video-encoding.js";
import { pictureOf } from "./video-picture.js";
import { fileName, saveFile } from "./wav.js";

/** Width and height by shape. */
const SHAPES = { square: [1080, 1080], wide: [1920, 1080] };

/** True while a video is being made. */
let filming = false;

/** Save what is shown as a video of its words: as fast as the machine can, or in the time of its sound where the browser only records. */
export async function saveVideo(shape) {
  if (filming) return;
  filming = true;
  quiet();
  const [width, height] = SHAPES[shape];
  const [canvas, utterance] = [make("canvas", { width, height }), playback.shown];
  const told = (share) => playback.stage.say(t("video.making", { percent: percent(share) }), true);
  const saves = ({ blob, ending }) => saveFile(blob, fileName(utterance.choice.text, `${shape}.${ending}`));
  await file(canvas, utterance, told)
    .then(saves, expected([DOMException, TypeError], () => complain(t("video.none"))))
    .finally(() => (filming = false));
  playback.stage.say("");
}

/** The video and the ending of its name. @param {(share: number) => void} told called with how much is done, 0 to 1. Throws a DOMException or a TypeError where the browser can neither encode nor record. */
async function file(canvas, utterance, told) {
  const picture = pictureOf(canvas, utterance);
  const chosen = await codecs(canvas);
  if (chosen) {
    try {
      return { blob: await encoded(canvas, picture, utterance, chosen, told), ending: "mp4" };
    } catch (error) {
      // Some browsers learn only with the first frame that the system's encoder does not work.
      if (!(error instanceof DOMException)) throw error;
      console.info("the video is recorded, as it was not encoded:", error);
    }
  }
  const { recorded } = await import("./video-recording.js");
  return recorded(canvas, picture, utterance, told);
}
