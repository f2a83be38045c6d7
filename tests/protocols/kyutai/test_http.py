"""Kyutai's HTTP endpoints: speech for whole texts, voices from recordings, server info."""

from __future__ import annotations

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
from tests.support.app_server import AppServer

LEGACY = {"seed": 1, "temperature": 0.8, "top_k": 250}
TONE = (0.3 * np.sin(np.arange(16_000 * 3) * 2 * np.pi * 220 / 16_000)).astype(np.float32)


def client_of(server: AppServer, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.http_url, headers=headers or KEY, timeout=300)


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
async def test_whole_text_is_streamed_as_wav(espeak_app: AppServer, path: str, body: object) -> None:
    expected = await say(espeak_app, SENTENCE, voice="espeak:es")
    async with client_of(espeak_app) as client:
        answer = await client.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    assert len(streamed(answer.content)) == pytest.approx(len(expected.samples), rel=0.1)


async def test_legacy_endpoint_returns_word_times(espeak_app: AppServer) -> None:
    body = {"text": ["Uno dos,", "tres."], "voice": "espeak:es", "return_timestamps": True, **LEGACY}
    async with client_of(espeak_app) as client:
        answer = (await client.post("/api/tts", json=body)).json()
        cut = (await client.post("/api/tts", json=body | {"max_seq_len": 4})).json()
    with wave.open(io.BytesIO(base64.b64decode(answer["wav"]))) as file:
        duration_s = file.getnframes() / file.getframerate()
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
    assert [word["text"] for word in answer["transcript"]] == ["Uno", "dos,", "tres."]
    assert all(0 <= word["start_s"] <= word["stop_s"] <= duration_s for word in answer["transcript"])
    with wave.open(io.BytesIO(base64.b64decode(cut["wav"]))) as file:
        assert file.getnframes() == 4 * 1920


@pytest.mark.parametrize("seconds", [0.5, 3, 30])
async def test_recording_becomes_voice(espeak_app: AppServer, seconds: float) -> None:
    samples = np.resize(TONE, round(seconds * 16_000))
    async with client_of(espeak_app, accept="*/*") as client:
        answer = await client.post(
            "/api/voice", content=wav(samples, 16_000), headers={"content-type": "application/octet-stream"}
        )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    voice = unpack(answer.content)
    assert list(voice) == ["type", "embeddings", "shape"]
    assert (voice["type"], voice["shape"]) == ("Voice", [1, 512, 125])
    assert len(voice["embeddings"]) == 64_000 and np.abs(voice["embeddings"]).max() <= 1
    async with opened(espeak_app) as websocket:
        await websocket.send(answer.content)
        assert unpack(await websocket.recv()) == {"type": "Ready"}
        await websocket.send("Hola a todos.")
        await websocket.send(b"\0")
        assert [m async for m in websocket]
        assert websocket.close_code == 1000


async def test_server_info_needs_no_key(espeak_app: AppServer) -> None:
    async with client_of(espeak_app, accept="*/*") as client, opened(espeak_app) as websocket:
        await websocket.recv()
        build = (await client.get("/api/build_info")).json()
        modules = (await client.get("/api/modules_info")).json()
        assert set(build) >= {"build_timestamp", "git_hash", "rustc_version"}
        assert all(isinstance(fact, str) for fact in build.values())
        assert [(one["type"], one["path"], one["used_slots"]) for one in modules] == [
            ("py", "/api/tts_streaming", "1"),
            ("batched_asr", "/api/asr-streaming", "0"),
        ]
        assert all(isinstance(fact, str) for one in modules for fact in one.values())
        for path in ("/api/tts_streaming", "/api/asr-streaming"):
            answer = await client.get(path, headers=KEY)
            assert answer.status_code == 400 and "upgrade" in answer.text
