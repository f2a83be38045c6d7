// Sends samples to ElevenLabs' realtime speech to text and prints its messages:
//   BASE_URL=http://localhost:8001 node listen.mjs SAMPLES vad|manual LANGUAGE
// SAMPLES: a file of 16-bit samples at 24 kHz.
import { readFileSync } from "node:fs";
import { AudioFormat, CommitStrategy, ElevenLabsClient, RealtimeEvents } from "@elevenlabs/elevenlabs-js";

const [path, strategy, languageCode] = process.argv.slice(2);
const client = new ElevenLabsClient({ apiKey: "none", baseUrl: process.env.BASE_URL });
const connection = await client.speechToText.realtime.connect({
  modelId: "scribe_v2_realtime",
  audioFormat: AudioFormat.PCM_24000,
  sampleRate: 24000,
  commitStrategy: strategy === "vad" ? CommitStrategy.VAD : CommitStrategy.MANUAL,
  languageCode,
  includeTimestamps: true,
});
const seen = [];
const started = new Promise((resolve) => {
  connection.on(RealtimeEvents.SESSION_STARTED, (message) => resolve(seen.push(message)));
});
const committed = new Promise((resolve, reject) => {
  connection.on(RealtimeEvents.PARTIAL_TRANSCRIPT, (message) => seen.push(message));
  connection.on(RealtimeEvents.COMMITTED_TRANSCRIPT_WITH_TIMESTAMPS, (message) => resolve(seen.push(message)));
  connection.on(RealtimeEvents.ERROR, reject);
  connection.on(RealtimeEvents.CLOSE, () => reject(new Error("closed before the transcript")));
});
await started;
const samples = readFileSync(path);
for (let at = 0; at < samples.length; at += 4800) {
  connection.send({ audioBase64: samples.subarray(at, at + 4800).toString("base64") });
}
if (strategy === "manual") connection.commit();
await committed;
connection.close();
console.log(JSON.stringify(seen));
