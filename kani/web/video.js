/** A result as a video: its words over the waveform, each lit as it is said. */

import { make } from "./element.js";
import { codecs, encoded } from "./video-encoding.js";
import { pictureOf } from "./video-picture.js";
import { fileName, saveFile } from "./wav.js";

/** Width and height by shape. */
const SHAPES = { square: [1080, 1080], wide: [1920, 1080] };
/** A screen reader reads each share that is told. */
const TOLD_EVERY_MS = 1000;

/**
 * Make the video of an utterance and save it: as fast as the machine can, or in the time of its sound where the
 * browser only records.
 * @param {import("./utterance.js").Utterance} utterance
 * @param {"square"|"wide"} shape
 * @param {(share: number) => void} told called with how much is done, 0 to 1, once a second
 * Throws a DOMException or a TypeError where the browser can do neither.
 */
export async function videoOf(utterance, shape, told) {
  const [width, height] = SHAPES[shape];
  const canvas = make("canvas", { width, height });
  const picture = pictureOf(canvas, utterance);
  let next = 0;
  const seldom = (share) => {
    if (performance.now() < next) return;
    next = performance.now() + TOLD_EVERY_MS;
    told(share);
  };
  const { blob, ending } = await file(canvas, picture, utterance, seldom);
  saveFile(blob, fileName(utterance.choice.text, `${shape}.${ending}`));
}

async function file(canvas, picture, utterance, told) {
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
