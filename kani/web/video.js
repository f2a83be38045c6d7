/** A result as a video: its words over the waveform, each lit as it is said. */

import { make } from "./element.js";
import { codecs, encoded } from "./video-encoding.js";
import { pictureOf } from "./video-picture.js";
import { fileName, saveFile } from "./wav.js";

/** Width and height by shape. */
const SHAPES = { square: [1080, 1080], wide: [1920, 1080] };

/**
 * Make the video of an utterance and save it: as fast as the machine can, or in the time of its sound where the browser only records.
 * told: called with how much is done, 0 to 1. Throws a DOMException or a TypeError where the browser can do neither.
 */
export async function videoOf(utterance, shape, told) {
  const [width, height] = SHAPES[shape];
  const canvas = make("canvas", { width, height });
  const picture = pictureOf(canvas, utterance);
  const { blob, ending } = await file(canvas, picture, utterance, told);
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
