// Runs one call of Vercel's AI SDK or of OpenAI's Agents SDK, and prints its result as JSON: node sdks.mjs CALL OPTIONS.
import { readFile, writeFile } from "node:fs/promises";

import { createOpenAI } from "@ai-sdk/openai";
import { RealtimeAgent, RealtimeSession, tool } from "@openai/agents/realtime";
import { generateSpeech, transcribe } from "ai";
import { z } from "zod";

const PIECE = 4800; // bytes: 100 ms of 16 bits at 24,000 Hz

const [call, options] = [process.argv[2], JSON.parse(process.argv[3])];
const openai = createOpenAI({ baseURL: process.env.BASE_URL, apiKey: "any" });

const calls = {
  async speak({ output, model, ...request }) {
    const { audio } = await generateSpeech({ model: openai.speech(model), maxRetries: 0, ...request });
    await writeFile(output, audio.uint8Array);
    return { type: audio.mediaType };
  },

  async transcribe({ input, model, settings }) {
    const request = { model: openai.transcription(model), audio: await readFile(input), maxRetries: 0 };
    if (settings !== undefined) request.providerOptions = { openai: settings };
    const { text, segments, language, durationInSeconds } = await transcribe(request);
    return { text, segments: segments.length, language, durationInSeconds };
  },

  // A voice agent hears one turn; its history then holds what the user said.
  async converse({ input, voice }) {
    const weather = tool({
      name: "weather",
      description: "Tells the weather.",
      parameters: z.object({ place: z.string() }),
      execute: async ({ place }) => `It is sunny in ${place}.`,
    });
    const agent = new RealtimeAgent({ name: "Agent", instructions: "Be kind.", tools: [weather], voice });
    const session = new RealtimeSession(agent, {
      transport: "websocket",
      tracingDisabled: true,
      config: { audio: { input: { transcription: { model: "gpt-4o-transcribe" } } } },
    });
    const errors = [];
    let configured;
    session.on("error", ({ error }) => errors.push(error?.error?.param ?? String(error?.message ?? error)));
    session.on("transport_event", (event) => {
      if (event.type === "session.updated") configured = event.session;
    });
    const said = new Promise((resolve) => {
      session.on("history_updated", (history) => {
        const spoken = history.find((item) => item.role === "user")?.content[0]?.transcript;
        if (spoken) resolve(spoken);
      });
    });
    await session.connect({ apiKey: "any", url: `${process.env.BASE_URL.replace("http", "ws")}/realtime?model=m` });
    const pcm = await readFile(input);
    for (let at = 0; at < pcm.length; at += PIECE) {
      const piece = pcm.subarray(at, at + PIECE);
      session.sendAudio(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.byteLength));
    }
    const transcript = await said;
    session.close();
    const { voice: used } = configured.audio.output;
    return { transcript, errors, voice: used, turnDetection: configured.audio.input.turn_detection.type };
  },

  // A turn, a tool, an answer that a second turn interrupts, an answer.
  async talk({ input }) {
    const weather = tool({
      name: "weather",
      description: "Tells the weather.",
      parameters: z.object({ city: z.string() }),
      execute: async ({ city }) => `sunny in ${city}`,
    });
    const agent = new RealtimeAgent({ name: "Agent", instructions: "Be brief.", tools: [weather] });
    const session = new RealtimeSession(agent, { transport: "websocket", tracingDisabled: true });
    const pcm = await readFile(input);
    const say = () => session.sendAudio(pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + pcm.byteLength));
    const seen = [], errors = [];
    let interrupting = false;
    const ended = new Promise((resolve) => {
      session.on("error", ({ error }) => resolve(errors.push(String(error?.error?.message ?? error))));
      session.on("agent_tool_end", () => seen.push("tool_end"));
      session.on("audio_interrupted", () => seen.push("audio_interrupted"));
      session.on("audio", () => {
        if (!interrupting) setTimeout(say, 1000); // of the answer have been played
        interrupting = true;
      });
      session.on("audio_stopped", () => {
        seen.push("audio_end");
        if (seen.includes("audio_interrupted")) resolve();
      });
    });
    await session.connect({ apiKey: "any", url: `${process.env.BASE_URL.replace("http", "ws")}/realtime?model=m` });
    say();
    await ended;
    session.close();
    return { seen, errors };
  },
};

try {
  console.log(JSON.stringify(await calls[call](options)));
} catch (error) {
  if (error.statusCode === undefined) throw error;
  console.log(JSON.stringify({ error: error.name, status: error.statusCode, message: error.message }));
}
process.exit(0);
