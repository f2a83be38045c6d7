/** A request as code: for three interfaces of the server, each in three languages. */

/** Interfaces by their ids. */
export const INTERFACES = { openai: "OpenAI", elevenlabs: "ElevenLabs", kani: "Kani" };

/** Languages of the code by their ids. */
export const CODES = { curl: "curl", python: "Python", javascript: "JavaScript" };

/** Speeds that ElevenLabs' interface takes. */
const ELEVENLABS_SPEEDS = [0.7, 1.2];

/** Marks in a text: other voices, or pauses. */
const MARKED = /\[(voice|pause):/i;

/** The fields of an object that have a value. */
const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ""));

/** Path, body and file of a request, by the id of the interface. */
export const REQUESTS = {
  openai: ({ text, language, voice, emotion, speed }) => ({
    path: "v1/audio/speech",
    file: "speech.mp3",
    body: given({
      model: "tts-1", input: text, voice: voice || "alloy", language,
      speed: speed === 1 ? undefined : speed, instructions: emotion === "neutral" ? "" : `Sound ${emotion}.`,
      allow_voice_tags: MARKED.test(text) || undefined,
    }),
  }),
  elevenlabs: ({ text, language, voice, speed }) => {
    const [low, high] = ELEVENLABS_SPEEDS;
    const settings = speed === 1 ? undefined : { speed: Math.min(Math.max(speed, low), high) };
    return {
      path: `v1/text-to-speech/${encodeURIComponent(voice || "default")}?output_format=mp3_44100_128`,
      file: "speech.mp3",
      body: given({ text, language_code: language, voice_settings: settings }),
    };
  },
  kani: ({ text, language, voice, emotion, strength, speed }) => ({
    path: "tts",
    file: "speech.wav",
    body: given({
      text, language, voice_id: voice,
      emotion: emotion === "neutral" ? "" : emotion,
      emotion_strength: emotion === "neutral" || strength === 1 ? undefined : strength,
      speed: speed === 1 ? undefined : speed,
    }),
  }),
};

const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** JSON, which is a literal in JavaScript too; characters of other scripts stay readable. */
const literal = (value, indent) => JSON.stringify(value, null, indent);

/** Python's names of true and false, where a value is one; a line that ends in true ends in no text. */
const pythonLiteral = (value, indent = 0) => JSON.stringify(value, null, indent).replace(/: true(,?)$/gm, ": True$1");

/** Arguments of a call in Python, a line each. */
const pythonArguments = (fields) =>
  Object.entries(fields).map(([name, value]) => `    ${name}=${value === true ? "True" : pythonLiteral(value)},\n`).join("");

const pythonKey = (key) => (key ? 'os.environ["KANI_API_KEY"]' : '"none"');

/** Fields of OpenAI's interface that its own package knows. */
const OPENAI_FIELDS = ["model", "input", "voice", "instructions", "speed"];

/** Requests in Python, by the id of the interface: with its own package, if it has one. */
const PYTHON = {
  openai: (url, body, file, key) => {
    const own = Object.fromEntries(Object.entries(body).filter(([name]) => OPENAI_FIELDS.includes(name)));
    const extra = Object.fromEntries(Object.entries(body).filter(([name]) => !OPENAI_FIELDS.includes(name)));
    const written = Object.entries(extra).map(([name, value]) => `"${name}": ${value === true ? "True" : pythonLiteral(value)}`);
    return `${key ? "import os\n\n" : ""}from openai import OpenAI  # pip install openai

client = OpenAI(base_url=${literal(url.replace(/\/audio\/speech$/, ""))}, api_key=${pythonKey(key)})
with client.audio.speech.with_streaming_response.create(
${pythonArguments(own)}${written.length ? `    extra_body={${written.join(", ")}},\n` : ""}) as answer:
    answer.stream_to_file("${file}")
`;
  },
  elevenlabs: (url, { text, language_code: language, voice_settings: settings }, file, key) => {
    const [base, path] = url.split("/v1/text-to-speech/");
    const fields = given({ voice_id: decodeURIComponent(path.split("?")[0]), text, language_code: language, output_format: "mp3_44100_128" });
    return `${key ? "import os\n\n" : ""}from elevenlabs import ElevenLabs${settings ? ", VoiceSettings" : ""}  # pip install elevenlabs

client = ElevenLabs(base_url=${literal(base)}, api_key=${pythonKey(key)})
audio = client.text_to_speech.convert(
${pythonArguments(fields)}${settings ? `    voice_settings=VoiceSettings(speed=${settings.speed}),\n` : ""})
with open("${file}", "wb") as file:
    file.writelines(audio)
`;
  },
  kani: (url, body, file, key) => `import json${key ? "\nimport os" : ""}
from urllib.request import Request, urlopen

headers = {"Content-Type": "application/json"}
${key ? 'headers["Authorization"] = f"Bearer {os.environ[\'KANI_API_KEY\']}"\n' : ""}body = ${pythonLiteral(body, 4)}
request = Request(${literal(url)}, json.dumps(body).encode(), headers)
with urlopen(request) as answer, open("${file}", "wb") as file:
    file.write(answer.read())
`,
};

const WRITERS = {
  curl: (url, body, file, key) => [
    `curl ${shellQuote(url)}`,
    ...(key ? ['-H "Authorization: Bearer $KANI_API_KEY"'] : []),
    "-H 'Content-Type: application/json'",
    `--data-binary ${shellQuote(literal(body))}`,
    `--fail -o ${file}`,
  ].join(" \\\n  "),
  javascript: (url, body, file, key) => `import { writeFile } from "node:fs/promises";

const headers = { "Content-Type": "application/json" };
${key ? "headers.Authorization = `Bearer ${process.env.KANI_API_KEY}`;\n" : ""}const body = ${literal(body, 2)};
const answer = await fetch(${literal(url)}, { method: "POST", headers, body: JSON.stringify(body) });
if (!answer.ok) throw new Error(await answer.text());
await writeFile("${file}", Buffer.from(await answer.arrayBuffer()));
`,
};

/**
 * Code that makes a request and saves its audio.
 * @param {string} base address of the server
 * @param {Record<string, any>} choice text, language, voice, emotion, strength and speed, as the form has them
 * @param {string} name one of INTERFACES
 * @param {string} code one of CODES
 * @param {boolean} key whether the server needs a key, which the code reads from KANI_API_KEY
 */
export function codeSample(base, choice, name, code, key) {
  const { path, body, file } = REQUESTS[name](choice);
  const write = code === "python" ? PYTHON[name] : WRITERS[code];
  return write(new URL(path, base).href, body, file, key);
}
