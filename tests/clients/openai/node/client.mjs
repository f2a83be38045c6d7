// Runs one call of openai-node and prints its result as JSON: node client.mjs CALL OPTIONS, both as in `calls`.
import { createReadStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";

import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const TRANSCRIPT = "conversation.item.input_audio_transcription";
const PIECE = 2400; // 50 ms of 16 bits at 24,000 Hz

const [call, options] = [process.argv[2], JSON.parse(process.argv[3])];
const client = new OpenAI({ apiKey: "any", baseURL: process.env.BASE_URL, maxRetries: 0 });

const calls = {
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    return { names };
  },

  async speak({ output, ...request }) {
    const response = await client.audio.speech.create(request);
    await writeFile(output, Buffer.from(await response.arrayBuffer()));
    return { type: response.headers.get("content-type") };
  },

  async stream({ output, ...request }) {
    const response = await client.audio.speech.create(request);
    const chunks = [];
    for await (const chunk of response.body) chunks.push(Buffer.from(chunk));
    await writeFile(output, Buffer.concat(chunks));
    return { chunks: chunks.length };
  },

  async transcribe({ input, ...request }) {
    const answer = await client.audio.transcriptions.create({ file: createReadStream(input), ...request });
    if (!request.stream) return answer;
    const events = [];
    for await (const event of answer) events.push(event);
    return { events };
  },

  // Transcribes `count` turns over the transport "ws" (the package) or "WebSocket" (Node's own).
  async listen({ transport, input, turn_detection, count }) {
    const Realtime = { ws: OpenAIRealtimeWS, WebSocket: OpenAIRealtimeWebSocket }[transport];
    const realtime = new Realtime({ intent: "transcription" }, client);
    const events = [], deltas = [], transcripts = [];
    realtime.on("event", (event) => events.push(event.type));
    realtime.on(`${TRANSCRIPT}.delta`, (event) => deltas.push(event.delta));
    const complete = new Promise((resolve, reject) => {
      realtime.on("error", reject);
      realtime.on(`${TRANSCRIPT}.completed`, (event) => {
        if (transcripts.push(event.transcript) === count) resolve();
      });
    });
    realtime.on("session.created", async () => {
      const transcription = { model: "gpt-4o-transcribe" };
      const audio = { input: { transcription, turn_detection } };
      realtime.send({ type: "session.update", session: { type: "transcription", audio } });
      const pcm = await readFile(input);
      for (let at = 0; at < pcm.length; at += PIECE)
        realtime.send({
          type: "input_audio_buffer.append",
          audio: pcm.subarray(at, at + PIECE).toString("base64"),
        });
      if (turn_detection === null) realtime.send({ type: "input_audio_buffer.commit" });
    });
    await complete;
    realtime.close();
    return { events, deltas, transcripts };
  },
};

try {
  console.log(JSON.stringify(await calls[call](options)));
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  const { status, param, code, requestID } = error;
  console.log(JSON.stringify({ error: error.constructor.name, status, param, code, requestID }));
}
