"""Kyutai's HTTP endpoints: speech for whole texts, voices from recordings, server info."""

from __future__ import annotations

import asyncio
import base64
import io
import wave

import httpx
import numpy as np
import pytest

from kani.core.audio.pcm import wav
from kani.core.types import Samples
from tests.clients.kyutai.speaking import opened, say
from tests.clients.kyutai.wire import KEY, RATE, unpack
from tests.protocols.kyutai.test_speech_out import SENTENCE
from tests.support.servers.app_server import AppServer

LEGACY = {"seed": 1, "temperature": 0.8, "top_k": 250}
OCTETS = "application/octet-stream"


def streamed(body: bytes) -> Samples:
    assert body[:4] == b"RIFF" and body[4:8] == b"\xff" * 4 and body[36:44] == b"data" + b"\xff" * 4
    assert (int.from_bytes(body[22:24], "little"), int.from_bytes(body[24:28], "little")) == (1, RATE)
    return np.frombuffer(body[44:], "<i2").astype(np.float32) / 32768


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tts_streaming", {"text": SENTENCE, "voice": "espeak:es", "temperature": 0.8}),
        ("/api/tts", {"text": [SENTENCE], "voice": "espeak:es", **LEGACY}),
        (
            "/api/tts",
            {"text": SENTENCE.split(), "voices": ["espeak:es"], "return_timestamps": None, **LEGACY},
        ),
    ],
)
async def test_whole_text_is_streamed_as_wav(
    espeak_app: AppServer, client: httpx.Client, path: str, body: object
) -> None:
    expected = await say(espeak_app, SENTENCE, voice="espeak:es")
    answer = await asyncio.to_thread(client.post, path, json=body, headers=KEY)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    assert len(streamed(answer.content)) == pytest.approx(len(expected.samples), rel=0.1)


def test_legacy_endpoint_returns_word_times(client: httpx.Client) -> None:
    body = {"text": ["Uno dos,", "tres."], "voice": "espeak:es", "return_timestamps": True, **LEGACY}
    answer = client.post("/api/tts", json=body, headers=KEY).json()
    cut = client.post("/api/tts", json=body | {"max_seq_len": 4}, headers=KEY).json()
    with wave.open(io.BytesIO(base64.b64decode(answer["wav"]))) as file:
        duration_s = file.getnframes() / file.getframerate()
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
    assert [word["text"] for word in answer["transcript"]] == ["Uno", "dos,", "tres."]
    assert all(0 <= word["start_s"] <= word["stop_s"] <= duration_s for word in answer["transcript"])
    with wave.open(io.BytesIO(base64.b64decode(cut["wav"]))) as file:
        assert file.getnframes() == 4 * 1920


def test_recording_becomes_voice(client: httpx.Client) -> None:
    """By an engine that does not clone too; test_cloning.py has those that do."""
    tone = (0.3 * np.sin(np.arange(16_000 * 3) * 2 * np.pi * 220 / 16_000)).astype(np.float32)
    answer = client.post(
        "/api/voice", content=wav(tone, 16_000), headers={"content-type": OCTETS, "accept": "*/*"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, OCTETS)
    voice = unpack(answer.content)
    assert list(voice) == ["type", "embeddings", "shape"]
    assert (voice["type"], voice["shape"]) == ("Voice", [1, 512, 125])
    assert len(voice["embeddings"]) == 64_000 and np.abs(voice["embeddings"]).max() <= 1


async def test_server_info_needs_no_key(espeak_app: AppServer, client: httpx.Client) -> None:
    async with opened(espeak_app) as websocket:
        await websocket.recv()
        build, modules = [
            (await asyncio.to_thread(client.get, f"/api/{name}_info")).json() for name in ("build", "modules")
        ]
    assert set(build) >= {"build_timestamp", "git_hash", "rustc_version"}
    assert [(one["type"], one["path"], one["used_slots"]) for one in modules] == [
        ("py", "/api/tts_streaming", "1"),
        ("batched_asr", "/api/asr-streaming", "0"),
    ]
    assert all(isinstance(fact, str) for one in (build, *modules) for fact in one.values())


@pytest.mark.parametrize("path", ["/api/tts_streaming", "/api/asr-streaming"])
def test_get_of_a_websocket_asks_for_the_upgrade(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=KEY)
    assert answer.status_code == 400 and "upgrade" in answer.text
