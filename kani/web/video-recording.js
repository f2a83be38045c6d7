/** A video that a MediaRecorder makes while the sound plays into nothing: it takes as long as the sound does. */

import { audioBuffer } from "./wav.js";

/** Formats that players take, the first one that this browser writes; VP8 costs a slow machine the least. */
const KINDS = [
  ["video/mp4;codecs=avc1.42E028,mp4a.40.2", "mp4"],
  ["video/webm;codecs=vp8,opus", "webm"],
  ["video/webm", "webm"],
  ["video/mp4", "mp4"],
];
const FRAMES_PER_S = 30;
const BITS_PER_S = 4_000_000;
/** Length of what the recorder gives at a time, and its time for the first. */
const PIECE_MS = 200;
const BEGINS_WITHIN_S = 30;
/** The picture stands for a moment before the first word and after the last. */
const BEFORE_S = 0.3;
const AFTER_S = 0.6;

/** Record an utterance; returns {blob, ending}. told: called with how much is done, 0 to 1. Throws a DOMException or a TypeError where the browser cannot record. */
export async function recorded(canvas, picture, utterance, told) {
  const [type, ending] = KINDS.find(([kind]) => MediaRecorder.isTypeSupported(kind)) ?? KINDS.at(-1);
  const context = new AudioContext();
  try {
    const buffer = audioBuffer(utterance.pieces, utterance.samples, utterance.sampleRate);
    const sound = new AudioBufferSourceNode(context, { buffer });
    const output = context.createMediaStreamDestination();
    sound.connect(output);
    picture.draw(0);
    const stream = new MediaStream([...canvas.captureStream(FRAMES_PER_S).getTracks(), ...output.stream.getTracks()]);
    const recorder = new MediaRecorder(stream, { mimeType: type, videoBitsPerSecond: BITS_PER_S });
    const pieces = [];
    let began = Infinity;
    recorder.ondataavailable = ({ data }) => {
      pieces.push(data);
      // On a busy machine the recorder takes nothing for seconds.
      if (!data.size || began < Infinity || recorder.state !== "recording") return;
      began = context.currentTime + BEFORE_S;
      sound.start(began);
    };
    const ended = new Promise((resolve, reject) => {
      recorder.onstop = resolve;
      recorder.onerror = ({ error }) => reject(error);
    });
    await context.resume();
    recorder.start(PIECE_MS);
    const asked = context.currentTime;
    const length = utterance.seconds + AFTER_S;
    const drawn = setInterval(() => {
      const at = context.currentTime - began;
      picture.draw(Math.max(0, at));
      told(Math.min(1, Math.max(0, at) / length));
      if (at < length && (began < Infinity || context.currentTime - asked < BEGINS_WITHIN_S)) return;
      clearInterval(drawn);
      recorder.stop();
    }, 1000 / FRAMES_PER_S);
    await ended.finally(() => clearInterval(drawn));
    if (began === Infinity) throw new DOMException("the recorder took nothing", "TimeoutError");
    return { blob: new Blob(pieces, { type: type.split(";")[0] }), ending };
  } finally {
    await context.close();
  }
}
