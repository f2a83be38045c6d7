/** "Use this in code": a request as code, for three interfaces of the server, each in three languages, to be copied. */

import { copied } from "./clipboard.js";
import { quote } from "./curl.js";
import { find } from "./element.js";
import { t } from "./i18n.js";
import { isMarked } from "./words.js";
import "./texts-features.js";

/** Speeds that ElevenLabs' interface takes. */
const ELEVENLABS_SPEEDS = [0.7, 1.2];

/** The fields of an object that have a value. */
const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ""));

/** Path, body and file of a request, by the id of the interface. */
const REQUESTS = {
  openai: ({ text, language, voice, emotion, blend, speed }) => ({
    path: "v1/audio/speech",
    file: "speech.mp3",
    body: given({
      model: "tts-1", input: text, voice: voice || "alloy", language,
      speed: speed === 1 ? undefined : speed, instructions: blend ? `Sound ${blend.replaceAll(/:[\d.]+/g, "").replace(",", " and ")}.` : emotion === "neutral" ? "" : `Sound ${emotion}.`,
      allow_voice_tags: isMarked(text) || undefined,
    }),
  }),
  elevenlabs: ({ text, language, voice, speed, normalize, seed }) => {
    const [low, high] = ELEVENLABS_SPEEDS;
    const settings = speed === 1 ? undefined : { speed: Math.min(Math.max(speed, low), high) };
    return {
      path: `v1/text-to-speech/${encodeURIComponent(voice || "default")}?output_format=mp3_44100_128`,
      file: "speech.mp3",
      body: given({ text, language_code: language, voice_settings: settings, apply_text_normalization: normalize === false ? "off" : "", seed }),
    };
  },
  kani: ({ text, language, voice, emotion, blend, strength, speed, duration, normalize, lexicon, seed }) => ({
    path: "tts",
    file: "speech.wav",
    body: given({
      text, language, voice_id: voice,
      emotion: blend ?? (emotion === "neutral" ? "" : emotion),
      emotion_strength: emotion === "neutral" || strength === 1 ? undefined : strength,
      speed: speed === 1 ? undefined : speed,
      duration, normalize, lexicon, seed,
    }),
  }),
};

/** Settings that an interface has no field for, by the names of their labels. */
const LACKS = {
  openai: { duration: "parameters.duration", normalize: "parameters.normalize", lexicon: "parameters.lexicon", seed: "parameters.seed" },
  elevenlabs: { duration: "parameters.duration", lexicon: "parameters.lexicon", felt: "emotion.label" },
  kani: {},
};

/** Python's name of true, where a value is it; a line that ends in true ends in no text. */
const pythonLiteral = (value, indent = 0) => JSON.stringify(value, null, indent).replace(/(^|: )(true|false)(,?)$/gm, (_, before, word, after) => `${before}${word === "true" ? "True" : "False"}${after}`);

/** Arguments of a call in Python, a line each. */
const pythonArguments = (fields) => Object.entries(fields).map(([name, value]) => `    ${name}=${pythonLiteral(value)},\n`).join("");

const pythonKey = (key) => (key ? 'os.environ["KANI_API_KEY"]' : '"none"');

/** Fields of OpenAI's interface that its own package knows. */
const OPENAI_FIELDS = ["model", "input", "voice", "instructions", "speed"];

/** Requests in Python, by the id of the interface: with its own package, if it has one. */
const PYTHON = {
  openai: (url, body, file, key) => {
    const isOwn = (field) => OPENAI_FIELDS.includes(field[0]);
    const own = Object.fromEntries(Object.entries(body).filter(isOwn));
    const extra = Object.entries(body).filter((field) => !isOwn(field)).map(([name, value]) => `"${name}": ${pythonLiteral(value)}`);
    return `${key ? "import os\n\n" : ""}from openai import OpenAI  # pip install openai

client = OpenAI(base_url=${JSON.stringify(url.replace(/\/audio\/speech$/, ""))}, api_key=${pythonKey(key)})
with client.audio.speech.with_streaming_response.create(
${pythonArguments(own)}${extra.length ? `    extra_body={${extra.join(", ")}},\n` : ""}) as answer:
    answer.stream_to_file("${file}")
`;
  },
  elevenlabs: (url, { text, language_code: language, voice_settings: settings, ...more }, file, key) => {
    const [base, path] = url.split("/v1/text-to-speech/");
    const fields = given({ voice_id: decodeURIComponent(path.split("?")[0]), text, language_code: language, output_format: "mp3_44100_128", ...more });
    return `${key ? "import os\n\n" : ""}from elevenlabs import ElevenLabs${settings ? ", VoiceSettings" : ""}  # pip install elevenlabs

client = ElevenLabs(base_url=${JSON.stringify(base)}, api_key=${pythonKey(key)})
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
request = Request(${JSON.stringify(url)}, json.dumps(body).encode(), headers)
with urlopen(request) as answer, open("${file}", "wb") as file:
    file.write(answer.read())
`,
};

const WRITERS = {
  curl: (url, body, file, key) => [
    `curl ${quote(url)}`,
    ...(key ? ['-H "Authorization: Bearer $KANI_API_KEY"'] : []),
    "-H 'Content-Type: application/json'",
    `--data-binary ${quote(JSON.stringify(body))}`,
    `--fail -o ${file}`,
  ].join(" \\\n  "),
  javascript: (url, body, file, key) => `import { writeFile } from "node:fs/promises";

const headers = { "Content-Type": "application/json" };
${key ? "headers.Authorization = `Bearer ${process.env.KANI_API_KEY}`;\n" : ""}const body = ${JSON.stringify(body, null, 2)};
const answer = await fetch(${JSON.stringify(url)}, { method: "POST", headers, body: JSON.stringify(body) });
if (!answer.ok) throw new Error(await answer.text());
await writeFile("${file}", Buffer.from(await answer.arrayBuffer()));
`,
};

/** Code, "curl", "python" or "javascript", that makes a request by an interface (one of REQUESTS) and saves its audio; key: whether the server needs one, which the code reads from KANI_API_KEY. */
export function codeSample(base, choice, name, code, key) {
  const { path, body, file } = REQUESTS[name](choice);
  const write = code === "python" ? PYTHON[name] : WRITERS[code];
  return write(new URL(path, base).href, body, file, key);
}

/** Fill the panel, and write the code anew whenever something else is chosen. @param {() => {choice: Record<string, any>, params: Record<string, any>, key: boolean}} request what is chosen now, as the protocol's parameters too, and whether a key is needed */
export function codePanel(request) {
  const write = () => {
    if (!find("code").open) return;
    const { choice: chosen, params: { emotion, duration, normalize, lexicon, seed }, key } = request();
    const choice = { ...chosen, blend: emotion?.includes(":") ? emotion : undefined, felt: emotion, duration, normalize, lexicon, seed };
    const name = find("code-interface").value;
    const base = new URL(".", document.baseURI).href;
    find("code-text").textContent = codeSample(base, choice, name, find("code-language").value, key);
    const lacking = Object.entries(LACKS[name]).filter(([field]) => choice[field] !== undefined).map(([, label]) => t(label));
    find("code-state").textContent = lacking.length ? t("code.lacks", { names: lacking.join(", ") }) : "";
  };
  for (const id of ["code-interface", "code-language"]) find(id).addEventListener("change", write);
  find("code").addEventListener("toggle", write);
  find("compose").addEventListener("input", write);
  find("code-copy").addEventListener("click", async () => (find("code-state").textContent = t(`code.${await copied(find("code-text"))}`)));
  find("voice").addEventListener("chosen", write);
  write();
}
