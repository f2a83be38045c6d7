/** A video by the browser's encoders (WebCodecs), as fast as the machine can: the picture is encoded only where it changes. */

import { mp4 } from "./mp4.js";
import { Resampler } from "./resampler.js";

/** The codecs that most players take come first. */
const PICTURES = [{ codec: "avc1.42E028", avc: { format: "avc" } }, { codec: "vp09.00.40.08" }];
const SOUNDS = [{ codec: "mp4a.40.2" }, { codec: "opus" }];
/** Times of words are rounded to frames. */
const FRAMES_PER_S = 30;
/** A player that seeks decodes from such a frame on. */
const KEY_EVERY_S = 5;
const SAMPLES_PER_S = 48_000;
const PICTURE_BITS_PER_S = 4_000_000;
const SOUND_BITS_PER_S = 96_000;
/** Frames that wait for an encoder: each holds some megabytes. */
const WAITING = 4;
const MICROSECONDS = 1_000_000;

/** The first of some configurations that an encoder supports, null for none. */
async function first(Encoder, kinds, shared) {
  for (const kind of kinds) {
    const config = { ...shared, ...kind };
    if ((await Encoder.isConfigSupported(config)).supported) return config;
  }
  return null;
}

/** The video of an utterance, an MP4 as a Blob; null where this browser's encoders make none; told: called with how much is done, 0 to 1. Throws a DOMException where an encoder fails. */
export async function encoded(canvas, picture, utterance, told) {
  const { width, height } = canvas;
  const { seconds } = utterance;
  const seen = await first(VideoEncoder, PICTURES, { width, height, framerate: FRAMES_PER_S, bitrate: PICTURE_BITS_PER_S });
  const heard = await first(AudioEncoder, SOUNDS, { sampleRate: SAMPLES_PER_S, numberOfChannels: 1, bitrate: SOUND_BITS_PER_S });
  if (!seen || !heard) return null;
  const sound = await encode(AudioEncoder, heard, soundOf(utterance));
  const pictures = await encode(VideoEncoder, seen, picturesOf(canvas, picture, seconds, told));
  return mp4({ width, height, seconds, pictures, sound });
}

/** Encode frames, [frame, options] each: {config, samples: [{at: microseconds, key, data}]}. */
async function encode(Encoder, config, frames) {
  const track = { config: null, samples: [] };
  let failure = null;
  /** @type {(value?: any) => void} */
  let wake = () => {};
  const encoder = new Encoder({
    output: (chunk, told) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      track.samples.push({ at: chunk.timestamp, key: chunk.type === "key", data });
      track.config ??= told?.decoderConfig ?? null;
    },
    error: (error) => {
      failure = error;
      wake();
    },
  });
  encoder.addEventListener("dequeue", () => wake());
  encoder.configure(config);
  try {
    for (const [frame, options] of frames) {
      if (!failure) encoder.encode(frame, options);
      frame.close();
      if (failure) throw failure;
      while (encoder.encodeQueueSize > WAITING && !failure) await new Promise((resolve) => (wake = resolve));
    }
    await encoder.flush();
    return track;
  } catch (error) {
    throw failure ?? error;
  } finally {
    if (encoder.state !== "closed") encoder.close();
  }
}

function* picturesOf(canvas, picture, seconds, told) {
  let key = -Infinity;
  const changed = new Set(picture.changes.map((at) => Math.max(0, Math.ceil(at * FRAMES_PER_S - 0.5))));
  for (const n of [...changed].filter((n) => n < seconds * FRAMES_PER_S).sort((one, other) => one - other)) {
    const at = n / FRAMES_PER_S;
    // A frame shows its middle, and a little more, as a word's time may be exactly that.
    picture.draw(at + 0.5 / FRAMES_PER_S + 1e-6);
    const keyFrame = at - key >= KEY_EVERY_S;
    if (keyFrame) key = at;
    told(at / seconds);
    yield [new VideoFrame(canvas, { timestamp: Math.round(at * MICROSECONDS) }), { keyFrame }];
  }
}

function* soundOf({ pieces, sampleRate }) {
  const resampler = new Resampler(sampleRate, SAMPLES_PER_S);
  let at = 0;
  // The last samples come out of the resampler with some silence after them.
  for (const piece of [...pieces, new Int16Array(sampleRate / 50)]) {
    for (let from = 0; from < piece.length; from += sampleRate) {
      const second = Float32Array.from(piece.subarray(from, from + sampleRate), (sample) => sample / 32768);
      const data = resampler.take(second);
      if (data.length === 0) continue;
      yield [new AudioData({
        format: "f32-planar",
        sampleRate: SAMPLES_PER_S,
        numberOfChannels: 1,
        numberOfFrames: data.length,
        timestamp: Math.round((at * MICROSECONDS) / SAMPLES_PER_S),
        data,
      })];
      at += data.length;
    }
  }
}
