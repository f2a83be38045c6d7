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

/** JSON in ASCII, which is a literal in JavaScript too. */
const literal = (value, indent) =>
  JSON.stringify(value, null, indent).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** In Python an escape is half of a pair, so that a character beyond 16 bits is written by itself. A line that ends in true ends in no text. */
const pythonLiteral = (value) => JSON.stringify(value, null, 4).replace(/: true(,?)$/gm, ": True$1").replace(/[\u007f\u2028\u2029]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

const WRITERS = {
  curl: (url, body, file, key) => [
    `curl ${shellQuote(url)}`,
    ...(key ? ['-H "Authorization: Bearer $KANI_API_KEY"'] : []),
    "-H 'Content-Type: application/json'",
    `--data-binary ${shellQuote(literal(body))}`,
    `--fail -o ${file}`,
  ].join(" \\\n  "),
  python: (url, body, file, key) => `import json${key ? "\nimport os" : ""}
from urllib.request import Request, urlopen

headers = {"Content-Type": "application/json"}
${key ? 'headers["Authorization"] = f"Bearer {os.environ[\'KANI_API_KEY\']}"\n' : ""}body = ${pythonLiteral(body)}
request = Request(${literal(url)}, json.dumps(body).encode(), headers)
with urlopen(request) as answer, open("${file}", "wb") as file:
    file.write(answer.read())
`,
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
 * @param {object} choice text, language, voice, emotion, strength and speed, as the form has them
 * @param {string} name one of INTERFACES
 * @param {string} code one of CODES
 * @param {boolean} key whether the server needs a key, which the code reads from KANI_API_KEY
 */
export function codeSample(base, choice, name, code, key) {
  const { path, body, file } = REQUESTS[name](choice);
  return WRITERS[code](new URL(path, base).href, body, file, key);
}
