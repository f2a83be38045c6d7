"""Fields and marks of Kokoro-FastAPI and Speaches, for clients that were written for those servers."""

from __future__ import annotations

import io
import wave
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from kani.core.types import Samples

PATH = "/v1/audio/speech"
TEXT = "The quick brown fox jumps over the lazy dog."
RATE = 24_000


def speak(client: httpx.Client, text: str = TEXT, **fields: Any) -> httpx.Response:
    answer = client.post(PATH, json={"model": "kokoro", "voice": "alloy", "input": text} | fields)
    assert answer.status_code == 200, answer.text
    return answer


def samples(client: httpx.Client, text: str = TEXT, **fields: Any) -> Samples:
    data = speak(client, text, response_format="pcm", **fields).content
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


@pytest.mark.parametrize(
    ("kind", "rate"),
    [("wav", 16_000), ("wav", 22_050), ("wav", 48_000), ("flac", 8_000), ("mp3", 44_100)],
)
def test_sample_rate_is_served(client: httpx.Client, kind: str, rate: int) -> None:
    answer = speak(client, response_format=kind, sample_rate=rate)
    heard, known = soundfile.read(io.BytesIO(answer.content))
    assert known == rate and "x-unused" not in answer.headers
    assert len(heard) / rate == pytest.approx(len(samples(client)) / RATE, abs=0.06)


def test_pcm_is_sent_at_the_rate_that_is_asked_for(client: httpx.Client) -> None:
    assert len(samples(client, sample_rate=8000)) == pytest.approx(len(samples(client)) / 3, abs=2)


def test_opus_names_a_rate_that_it_does_not_have(client: httpx.Client) -> None:
    assert speak(client, response_format="opus", sample_rate=16_000).headers["x-unused"] == "sample_rate"
    assert "x-unused" not in speak(client, response_format="opus", sample_rate=48_000).headers


def test_volume_scales_and_clips(client: httpx.Client) -> None:
    plain, soft, loud = (samples(client, volume_multiplier=factor) for factor in (1, 0.5, 10.0))
    np.testing.assert_allclose(soft, plain / 2, atol=2 / 32768)
    assert np.abs(loud).max() > 0.99
    assert not samples(client, volume_multiplier=0).any()


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac", "wav", "pcm"])
def test_answer_that_is_not_streamed_says_its_length(client: httpx.Client, kind: str) -> None:
    streamed, whole = (speak(client, response_format=kind, stream=stream) for stream in (True, False))
    assert whole.headers["content-length"] == str(len(whole.content))
    assert streamed.headers["transfer-encoding"] == "chunked" and "content-length" not in streamed.headers
    assert whole.headers["content-type"] == streamed.headers["content-type"]
    if kind == "wav":
        with wave.open(io.BytesIO(whole.content)) as file:
            assert file.getnframes() * 2 + 44 == len(whole.content)
    if kind in ("aac", "pcm"):
        assert whole.content == streamed.content


def test_flac_opens_in_libsndfile(client: httpx.Client) -> None:
    """It refuses one of unknown length: "array is too big"."""
    pcm = samples(client)
    heard, rate = soundfile.read(io.BytesIO(speak(client, response_format="flac").content), dtype="float32")
    assert rate == RATE
    np.testing.assert_array_equal(heard, pcm)


def test_long_flac_is_sent_while_it_is_made(client: httpx.Client) -> None:
    body = {"input": "Hello there. " * 400, "response_format": "flac"}
    with client.stream("POST", PATH, json=body) as answer:
        assert answer.status_code == 200 and "content-length" not in answer.headers


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_rate_mark_scales_the_speech_and_is_not_read(client: httpx.Client, rate: float) -> None:
    plain = len(samples(client))
    marked = samples(client, f"[rate:{rate}] {TEXT}", allow_voice_tags=True)
    assert len(marked) == pytest.approx(plain / rate, rel=0.15)


def test_rate_mark_counts_until_the_next(client: httpx.Client) -> None:
    plain = len(samples(client, "One two three four."))
    marked = samples(
        client, "[rate:0.5]One two three four. [rate:1]One two three four.", allow_voice_tags=True
    )
    assert len(marked) == pytest.approx(3 * plain, rel=0.2)


def test_alias_is_a_voice_at_a_rate(client: httpx.Client) -> None:
    aliases = {"slowpoke": {"voice": "alloy", "rate": 0.8}, "plain": "alloy"}
    plain, same, slow, marked = (
        len(samples(client, text, voice_aliases=aliases, allow_voice_tags=True, **fields))
        for text, fields in (
            (TEXT, {}),
            (TEXT, {"voice": "plain"}),
            (TEXT, {"voice": "slowpoke"}),
            (f"[voice:slowpoke] [rate:1.1] {TEXT}", {}),
        )
    )
    assert same == plain
    assert slow == pytest.approx(plain / 0.8, rel=0.15)
    assert marked == pytest.approx(plain / 0.88, rel=0.15) and marked > plain


def test_marks_are_text_without_permission(client: httpx.Client) -> None:
    assert len(samples(client, f"[rate:0.5] {TEXT}")) > len(samples(client))
