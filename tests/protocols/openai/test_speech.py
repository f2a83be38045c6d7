"""POST /v1/audio/speech: formats, voices, marks, and what becomes of a failure."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from kani.core.types import Samples, Voice
from kani.protocols.openai.speech.instructions import Style, parse_instructions
from kani.protocols.openai.speech.tags import Turn, split_turns
from kani.protocols.openai.voice_names import OPENAI_VOICES, resolve_voice
from tests.support.serving import InProcessServer, serving
from tests.support.sessions import build
from tests.support.tone import ToneEngine

PATH = "/v1/audio/speech"
TEXT = "The quick brown fox jumps over the lazy dog."
RATE = 24_000
CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
CONTAINERS = {"mp3": "mp3", "opus": "ogg", "aac": "aac", "flac": "flac", "wav": "wav", "pcm": "s16le"}
ENCODER_DELAY = {"aac": 2048, "mp3": 1152}
"""Most samples that a format adds to a stream."""


def speak(client: httpx.Client, text: str = TEXT, **fields: Any) -> httpx.Response:
    answer = client.post(PATH, json={"model": "tts-1", "voice": "alloy", "input": text} | fields)
    assert answer.status_code == 200, answer.text
    return answer


def decoded(data: bytes, kind: str) -> Samples:
    options = {"sample_rate": str(RATE)} if kind == "pcm" else {}
    with av.open(io.BytesIO(data), format=CONTAINERS[kind], options=options) as opened:
        assert opened.streams.audio[0].channels == 1 or kind == "pcm"
        resampler = av.AudioResampler("s16", "mono", RATE)
        frames = [frame for source in opened.decode(audio=0) for frame in resampler.resample(source)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32) / 32768


@pytest.mark.parametrize("kind", CONTENT_TYPES)
def test_format_decodes_to_the_same_speech(client: httpx.Client, kind: str) -> None:
    pcm = np.frombuffer(speak(client, response_format="pcm").content, "<i2") / 32768
    answer = speak(client, response_format=kind)
    samples = decoded(answer.content, kind)
    assert answer.headers["content-type"] == CONTENT_TYPES[kind]
    assert answer.headers["x-request-id"]
    added = len(samples) - len(pcm)
    assert 0 <= added <= ENCODER_DELAY.get(kind, 2)
    # AAC begins with a frame of the encoder's delay.
    heard = samples[1024 if kind == "aac" else 0 :][: len(pcm)]
    assert np.corrcoef(envelope(pcm), envelope(heard))[0, 1] > 0.95


def envelope(samples: Samples) -> Samples:
    return np.abs(samples[: len(samples) // 480 * 480]).reshape(-1, 480).max(axis=1)


def test_mp3_is_the_default_and_unknown_fields_are_named(client: httpx.Client) -> None:
    plain = client.post(PATH, json={"input": TEXT})
    unknown = {"backend": "x", "normalization_options": {"normalize": False}, "a\r\nb": 1, "": 1, "ä": 1}
    odd = speak(client, model="no such model", stream=True, speed=None, **unknown)
    assert plain.headers["content-type"] == odd.headers["content-type"] == "audio/mpeg"
    assert plain.content == odd.content
    assert "x-unused" not in plain.headers
    assert odd.headers["x-unused"] == "backend, normalization_options"
    many = speak(client, **{f"field{number}": 0 for number in range(100)}).headers["x-unused"]
    assert many.split(", ") == [f"field{number}" for number in range(20)]


def test_events_hold_the_file(client: httpx.Client) -> None:
    answer = speak(client, stream_format="sse", response_format="pcm", voice={"id": "alloy"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.split("\n\n")
    assert lines.pop() == "" and all(line.startswith("data: {") for line in lines)
    *deltas, done = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    tokens = {"input_tokens": 11, "output_tokens": math.ceil(20 * len(audio) / 2 / RATE)}
    assert done["type"] == "speech.audio.done"
    assert done["usage"] == tokens | {"total_tokens": sum(tokens.values())}
    assert audio == speak(client, response_format="pcm").content


def test_speed_and_pace_shorten_the_speech(client: httpx.Client) -> None:
    plain, fast, slow, hurried = (
        len(speak(client, response_format="pcm", **fields).content)
        for fields in ({}, {"speed": 2}, {"speed": 0.25}, {"instructions": "Speak very quickly."})
    )
    assert fast == pytest.approx(plain / 2, rel=0.15)
    assert slow == pytest.approx(plain * 4, rel=0.15)
    assert 0.6 * plain < hurried < 0.85 * plain


@pytest.mark.parametrize(
    ("instructions", "unused"),
    [("Cheerful, please", None), ("None", "instructions"), ("Like a pirate", "instructions"), ("", None)],
)
def test_instructions_without_effect_are_named(
    client: httpx.Client, instructions: str, unused: str | None
) -> None:
    assert speak(client, instructions=instructions).headers.get("x-unused") == unused


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("Speak in a cheerful and positive tone.", Style("happy")),
        ("Do not sound sad. Be warm, and slow.", Style("friendly", 0.85)),
        ("A deep, calm voice; very slowly!", Style("calm", 0.85**1.75, -2.0)),
        ("High-pitched and excited", Style("excited", 1.0, 2.0)),
        ("Habla despacio y triste", Style("sad", 0.85)),
        ("None", Style(ignored=True)),
        (None, Style()),
    ],
)
def test_instructions_are_read_by_words(text: str | None, style: Style) -> None:
    assert parse_instructions(text) == style


def test_marks_are_text_unless_they_are_allowed(client: httpx.Client) -> None:
    marked = "One. [pause:2s] Two. [voice:espeak:es] Tres. [pause:500ms]"
    plain, silent, read = (
        len(speak(client, text, response_format="pcm", **fields).content) / 2 / RATE
        for text, fields in (
            ("One. Two. Tres.", {}),
            (marked, {"allow_voice_tags": True}),
            (marked, {}),
        )
    )
    assert silent == pytest.approx(plain + 2.5, abs=0.9)
    assert read > silent


def test_pauses_stay_in_their_place() -> None:
    turns = split_turns(
        "[pause:1s] One. [pause:2s] Two. [voice:nova] Three. [rate:2][pause:500ms]", marks=True
    )
    assert turns == [Turn(None, (1.0, " One. ", 2.0, " Two. ")), Turn("nova", (" Three. ", 0.5))]


async def test_names_are_voices_of_the_texts_language(tmp_path: Path) -> None:
    tone = ToneEngine()
    genders = {"a": "female", "b": "male", "c": "male"}
    voices = tuple(
        Voice(f"{language}_{name}", name, language, "tone", gender)
        for language in ("es", "en")
        for name, gender in genders.items()
    )
    defaults = {"es": "es_a", "en": "en_a", "fr": "es_a"}
    tone.info = replace(tone.info, voices=voices, default_voices=defaults)
    service = build(tmp_path, tone)
    await service.start()
    chosen = {name: resolve_voice(service, name) for name in (*OPENAI_VOICES, "Echo", "es_b")}
    assert len(OPENAI_VOICES) == 13
    assert chosen["alloy"].voices == {} and chosen["alloy"].voice is None
    assert chosen["echo"].voices == chosen["Echo"].voices == {"es": "es_b", "en": "en_b"}
    assert chosen["nova"].voices == {"es": "es_a", "en": "en_a"}
    assert chosen["es_b"].voice == "es_b"
    await service.stop()


async def post(server: InProcessServer, **fields: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.http_url) as client:
        return await client.post(PATH, json={"response_format": "pcm"} | fields)


async def test_voice_speaks_in_the_language_of_the_text(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        info = server.engine.info
        voices = tuple(replace(voice, gender="male") for voice in info.voices)
        server.engine.info = replace(info, voices=voices)
        for text in ("Buenos días, ¿cómo estás hoy?", "Good morning, how are you today?"):
            assert (await post(server, input=text, voice="onyx")).status_code == 200
    assert [segment.voice for segment in server.engine.segments] == ["tone_es", "tone_en"]


async def test_failure_before_audio_is_a_status(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        answer = await post(server, input="kaputt kaputt", voice="tone_es")
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "server_error"


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_failure_in_the_middle_breaks_the_connection(tmp_path: Path, stream_format: str) -> None:
    async with serving(tmp_path) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await post(server, input="Uno dos tres. kaputt no.", voice="tone_es", stream_format=stream_format)


async def test_rate_limit_counts_a_request_once(tmp_path: Path) -> None:
    marked = "uno [voice:tone_es] dos [voice:tone_en] three"
    async with serving(tmp_path, KANI_RATE_PER_MINUTE="1", KANI_OPENAI_VOICE_TAGS="true") as server:
        assert (await post(server, input=marked)).status_code == 200
        refused = await post(server, input=marked)
    assert [segment.voice for segment in server.engine.segments] == ["tone_en", "tone_es", "tone_en"]
    assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
