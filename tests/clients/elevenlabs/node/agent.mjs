// Talks to an agent by ElevenLabs' package for browsers, and prints its messages but the audio:
//   ORIGIN=ws://localhost:8001 node agent.mjs OVERRIDES PLAYED SAMPLES…
// OVERRIDES: JSON; PLAYED: file for what the agent says; SAMPLES: files of the user's speech, one a turn. Each
// is 16-bit samples at 16 kHz. A turn begins once the agent's answer is played; "interrupt" before one of them
// has it begin a second after the answer. Without any the conversation is in writing, of WORDS instead.
import { readFileSync, writeFileSync } from "node:fs";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket;
const { Conversation } = await import("@elevenlabs/client");
const { createConnection, setSetupStrategy } = await import("@elevenlabs/client/internal");

const [overrides, played, ...turns] = process.argv.slice(2);
const seen = [], chunks = [], calls = [];
const spoken = []; // pieces of the user's speech that the microphone has yet to give
let endsAt = 0, answers = 0, sends, ended;
let wake = () => {}; // ends the wait of ``until`` for something new

setSetupStrategy(async (options) => {
  const connection = await createConnection(options);
  const output = { interrupt: () => (endsAt = 0), setVolume() {}, async close() {} };
  connection.addListener(({ audio_base_64: audio }) => {
    const piece = Buffer.from(audio, "base64");
    chunks.push(piece);
    endsAt = Math.max(endsAt, Date.now()) + piece.length / 32;
  });
  sends = (piece) => connection.sendMessage({ user_audio_chunk: piece.toString("base64") });
  const input = { async setMuted() {}, async close() {} };
  return { connection, input, output, playbackEventTarget: null, detach: async () => {} };
});

const written = turns[0] === "write";
const conversation = await Conversation.startSession({
  agentId: "any",
  origin: process.env.ORIGIN,
  connectionType: "websocket",
  textOnly: written || undefined,
  overrides: JSON.parse(overrides),
  clientTools: { weather: (given) => calls.push(given) && "rain" },
  customLlmExtraBody: { tools: [{ type: "function", function: { name: "weather" } }] },
  onIncomingEvent: (event) => {
    if (event.type !== "audio" && event.type !== "ping") seen.push(event);
    answers += event.type === "agent_response";
    wake();
  },
  onDisconnect: (details) => {
    ended = details;
    wake();
  },
});

const silence = Buffer.alloc(800); // 25 ms
const microphone = () => {
  if (conversation.isOpen()) sends(spoken.shift() ?? silence);
  wake(); // what was played moves on with it
};
if (!written) setInterval(microphone, 25);
const until = async (what) => {
  while (!what()) {
    if (ended) throw new Error(`ended too early: ${JSON.stringify({ ended, seen })}`);
    await new Promise((resolve) => (wake = resolve));
  }
};

let turn = 0;
for (let at = written ? 1 : 0; at < turns.length; at++) {
  if (turns[at] === "interrupt") {
    const begun = Date.now() + 1000;
    await until(() => endsAt > begun && Date.now() > begun);
    at++;
  } else {
    await until(() => answers > turn && Date.now() > endsAt);
  }
  turn++;
  if (written) {
    conversation.sendUserMessage(turns[at]);
    continue;
  }
  const samples = readFileSync(turns[at]);
  for (let from = 0; from < samples.length; from += 800) spoken.push(samples.subarray(from, from + 800));
  await until(() => !spoken.length);
}
await until(() => ended);
writeFileSync(played, Buffer.concat(chunks));
console.log(JSON.stringify({ id: conversation.getId(), calls, ended, seen }));
process.exit(0);
