"""POST /v1/audio/speech: formats, voices, marks, and what becomes of a failure.

Among the fields are those of Kokoro-FastAPI and Speaches, for clients that were written for those servers.
"""

import base64
import io
import json
import math
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import httpx2
import numpy as np
import pytest
import soundfile

from kani.core.types import Samples, Voice
from kani.protocols.openai.speech.instructions import Style, parse_instructions
from kani.protocols.openai.speech.tags import Turn, split_turns
from kani.protocols.openai.voice_names import OPENAI_VOICES, resolve_voice
from tests.support.servers.serving import InProcessServer, serving
from tests.support.sessions import started
from tests.support.tone import ToneEngine

PATH = "/v1/audio/speech"
TEXT = "The quick brown fox jumps over the lazy dog."
RATE = 24_000
FORMATS = {
    "mp3": ("audio/mpeg", "mp3"),
    "opus": ("audio/opus", "ogg"),
    "aac": ("audio/aac", "aac"),
    "flac": ("audio/flac", "flac"),
    "wav": ("audio/wav", "wav"),
    "pcm": ("audio/pcm", "s16le"),
}
"""Content type, and container as PyAV names it."""

ENCODER_DELAY = {"aac": 2048, "mp3": 1152}
"""Most samples that a format adds to a stream."""


def speak(client: httpx2.Client, text: str = TEXT, **fields: Any) -> httpx2.Response:
    answer = client.post(PATH, json={"model": "tts-1", "voice": "alloy", "input": text} | fields)
    assert answer.status_code == 200, answer.text
    return answer


def samples(client: httpx2.Client, text: str = TEXT, **fields: Any) -> Samples:
    data = speak(client, text, response_format="pcm", **fields).content
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


def seconds(client: httpx2.Client, text: str = TEXT, **fields: Any) -> float:
    return len(samples(client, text, **fields)) / RATE


def marked(client: httpx2.Client, text: str, **fields: Any) -> float:
    return seconds(client, text, allow_voice_tags=True, **fields)


def decoded(data: bytes, kind: str) -> Samples:
    options = {"sample_rate": str(RATE)} if kind == "pcm" else {}
    with av.open(io.BytesIO(data), format=FORMATS[kind][1], options=options) as opened:
        assert opened.streams.audio[0].channels == 1 or kind == "pcm"
        resampler = av.AudioResampler("s16", "mono", RATE)
        frames = [frame for source in opened.decode(audio=0) for frame in resampler.resample(source)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32) / 32768


def envelope(samples: Samples) -> Samples:
    return np.abs(samples[: len(samples) // 480 * 480]).reshape(-1, 480).max(axis=1)


@pytest.mark.parametrize("kind", FORMATS)
def test_format_decodes_to_the_same_speech(client: httpx2.Client, kind: str) -> None:
    pcm = samples(client)
    answer = speak(client, response_format=kind)
    heard = decoded(answer.content, kind)
    assert answer.headers["content-type"] == FORMATS[kind][0]
    assert answer.headers["x-request-id"]
    assert 0 <= len(heard) - len(pcm) <= ENCODER_DELAY.get(kind, 2)
    # AAC begins with a frame of the encoder's delay.
    heard = heard[1024 if kind == "aac" else 0 :][: len(pcm)]
    assert np.corrcoef(envelope(pcm), envelope(heard))[0, 1] > 0.95


def test_mp3_is_the_default_and_unknown_fields_are_named(client: httpx2.Client) -> None:
    plain = client.post(PATH, json={"input": TEXT})
    unknown = {"backend": "x", "normalization_options": {"normalize": False}, "a\r\nb": 1, "": 1, "ä": 1}
    odd = speak(client, model="no such model", stream=True, speed=None, **unknown)
    assert plain.headers["content-type"] == odd.headers["content-type"] == "audio/mpeg"
    assert plain.content == odd.content
    assert "x-unused" not in plain.headers
    assert odd.headers["x-unused"] == "backend, normalization_options"
    many = speak(client, **{f"field{number}": 0 for number in range(100)}).headers["x-unused"]
    assert many.split(", ") == [f"field{number}" for number in range(20)]


def test_events_hold_the_file(client: httpx2.Client) -> None:
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
    # The name that Speaches gives it.
    assert done["token_usage"] == done["usage"]
    assert audio == speak(client, response_format="pcm").content


def test_rate_volume_and_speed_change_the_samples(client: httpx2.Client) -> None:
    plain = seconds(client)
    assert seconds(client, speed=2) == pytest.approx(plain / 2, rel=0.15)
    assert seconds(client, speed=0.25) == pytest.approx(plain * 4, rel=0.15)
    assert 0.6 * plain < seconds(client, instructions="Speak very quickly.") < 0.85 * plain
    assert len(samples(client, sample_rate=8000)) == pytest.approx(len(samples(client)) / 3, abs=2)
    plain, soft, loud = (samples(client, volume_multiplier=factor) for factor in (1, 0.5, 10.0))
    np.testing.assert_allclose(soft, plain / 2, atol=2 / 32768)
    assert np.abs(loud).max() > 0.99
    assert not samples(client, volume_multiplier=0).any()


@pytest.mark.parametrize(
    ("fields", "unused"),
    [
        ({"instructions": "Cheerful, please"}, None),
        ({"instructions": "None"}, "instructions"),
        ({"instructions": "Like a pirate"}, "instructions"),
        ({"instructions": ""}, None),
        ({"response_format": "opus", "sample_rate": 16_000}, "sample_rate"),
        ({"response_format": "opus", "sample_rate": 48_000}, None),
    ],
)
def test_unused_fields_are_named(client: httpx2.Client, fields: dict[str, Any], unused: str | None) -> None:
    assert speak(client, **fields).headers.get("x-unused") == unused


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


@pytest.mark.parametrize(
    ("kind", "rate"), [("wav", 16_000), ("wav", 22_050), ("wav", 48_000), ("flac", 8_000), ("mp3", 44_100)]
)
def test_sample_rate_is_served(client: httpx2.Client, kind: str, rate: int) -> None:
    answer = speak(client, response_format=kind, sample_rate=rate)
    heard, known = soundfile.read(io.BytesIO(answer.content))
    assert known == rate and "x-unused" not in answer.headers
    assert len(heard) / rate == pytest.approx(seconds(client), abs=0.06)


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac", "wav", "pcm"])
def test_answer_that_is_not_streamed_says_its_length(client: httpx2.Client, kind: str) -> None:
    streamed, whole = (speak(client, response_format=kind, stream=stream) for stream in (True, False))
    assert whole.headers["content-length"] == str(len(whole.content))
    assert streamed.headers["transfer-encoding"] == "chunked" and "content-length" not in streamed.headers
    assert whole.headers["content-type"] == streamed.headers["content-type"]
    if kind == "wav":
        with wave.open(io.BytesIO(whole.content)) as file:
            assert file.getnframes() * 2 == len(whole.content) - whole.content.index(b"data") - 8
    if kind in ("aac", "pcm"):
        assert whole.content == streamed.content


def test_flac_opens_in_libsndfile_and_a_long_one_is_sent_while_it_is_made(client: httpx2.Client) -> None:
    """It refuses one of unknown length: "array is too big"."""
    heard, rate = soundfile.read(io.BytesIO(speak(client, response_format="flac").content), dtype="float32")
    assert rate == RATE
    np.testing.assert_array_equal(heard, samples(client))
    body = {"input": "Hello there. " * 400, "response_format": "flac"}
    with client.stream("POST", PATH, json=body) as answer:
        assert answer.status_code == 200 and "content-length" not in answer.headers


def test_marks_are_text_unless_they_are_allowed(client: httpx2.Client) -> None:
    text = "One. [pause:2s] Two. [voice:espeak:es] Tres. [pause:500ms]"
    plain, silent, read = seconds(client, "One. Two. Tres."), marked(client, text), seconds(client, text)
    assert silent == pytest.approx(plain + 2.5, abs=0.9)
    assert read > silent
    assert seconds(client, f"[rate:0.5] {TEXT}") > seconds(client)


def test_pauses_stay_in_their_place() -> None:
    text = "[pause:1s] One. [pause:2s] Two. [voice:nova] Three. [rate:2][pause:500ms]"
    turns = [Turn(None, (1.0, " One. ", 2.0, " Two. ")), Turn("nova", (" Three. ", 0.5))]
    assert split_turns(text, marks=True) == turns


def test_rate_mark_scales_the_speech_until_the_next_and_is_not_read(client: httpx2.Client) -> None:
    for rate in (0.5, 2.0):
        assert marked(client, f"[rate:{rate}] {TEXT}") == pytest.approx(seconds(client) / rate, rel=0.15)
    text = "One two three four."
    twice = marked(client, f"[rate:0.5]{text} [rate:1]{text}")
    assert twice == pytest.approx(3 * seconds(client, text), rel=0.2)


def test_alias_is_a_voice_at_a_rate_in_any_case(client: httpx2.Client) -> None:
    named = {"voice_aliases": {"slowpoke": {"voice": "alloy", "rate": 0.8}, "plain": "alloy"}}
    plain = marked(client, TEXT, **named)
    assert marked(client, TEXT, voice="plain", **named) == plain
    assert marked(client, TEXT, voice="slowpoke", **named) == pytest.approx(plain / 0.8, rel=0.15)
    both = marked(client, f"[voice:Slowpoke] [rate:1.1] {TEXT}", **named)
    assert both == pytest.approx(plain / 0.88, rel=0.15) and both > plain
    aliases = {"narrator": "espeak:en", "NARRATOR": "espeak:es"}
    for name, voice in aliases.items():
        spoken = speak(client, voice=name, voice_aliases=aliases, response_format="pcm").content
        assert spoken == speak(client, voice=voice, response_format="pcm").content
    villain = speak(
        client, f"[voice:Villain]{TEXT}", voice_aliases={"villain": "alloy"}, allow_voice_tags=True
    )
    assert villain.content == speak(client).content


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
    async with started(tmp_path, tone) as service:
        chosen = {name: resolve_voice(service, name) for name in (*OPENAI_VOICES, "Echo", "es_b")}
        assert len(OPENAI_VOICES) == 13
        assert chosen["alloy"].voices == {} and chosen["alloy"].voice is None
        assert chosen["echo"].voices == chosen["Echo"].voices == {"es": "es_b", "en": "en_b"}
        assert chosen["nova"].voices == {"es": "es_a", "en": "en_a"}
        assert chosen["es_b"].voice == "es_b"


async def post(server: InProcessServer, **fields: Any) -> httpx2.Response:
    return await server.post(PATH, json={"response_format": "pcm"} | fields)


async def test_failure_is_a_status_or_breaks_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        answer = await post(server, input="kaputt kaputt", voice="tone_es")
        assert answer.status_code == 500 and answer.json()["error"]["type"] == "server_error"
        for kind in ("audio", "sse"):
            with pytest.raises(httpx2.RemoteProtocolError):
                await post(server, input="Uno dos tres. kaputt no.", voice="tone_es", stream_format=kind)


async def test_rate_limit_counts_a_request_once(tmp_path: Path) -> None:
    text = "uno [voice:tone_es] dos [voice:tone_en] three"
    async with serving(tmp_path, KANI_RATE_PER_MINUTE="1") as server:
        assert (await post(server, input=text, allow_voice_tags=True)).status_code == 200
        refused = await post(server, input=text, allow_voice_tags=True)
    assert [segment.voice for segment in server.engine.segments] == ["tone_en", "tone_es", "tone_en"]
    assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
