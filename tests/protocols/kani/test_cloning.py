"""Cloning in the Kani protocol: speech that sounds like recordings, and its report in the answers."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from kani.core.session.budget import Budgets
from kani.core.types import Recording, Samples
from kani.protocols.kani.request import MAX_NAMED_VOICES, NamedVoices
from tests.clients.kani import wire
from tests.protocols.cloning_server import NO_SPEECH, CloningServer, cloning_server, hum, loudness
from tests.support.patience import happens

TEXT = "uno dos tres"
FORESEEN = {"before": 0.5, "now": 0.6, "measured": False}
MEASURED = {"before": 0.5, "now": 0.8, "measured": True}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[CloningServer]:
    async with cloning_server(tmp_path) as serving:
        yield serving


@pytest.fixture
async def socket(app: CloningServer) -> AsyncIterator[ClientConnection]:
    async with connect(app.url, max_size=None) as connection:
        yield connection


def encoded(recording: bytes) -> str:
    return base64.b64encode(recording).decode()


def scaled(samples: np.ndarray) -> Samples:
    return samples.astype(np.float32) / np.float32(32768)


async def ask(
    socket: ClientConnection, kind: str = "tts_request", **data: Any
) -> tuple[Samples, dict[str, Any]]:
    chunks, _, last = await wire.stream(socket, wire.request(TEXT, kind, **data))
    return scaled(wire.pcm(chunks) if chunks or not last.get("audio") else wire.samples(last)), last


@pytest.mark.parametrize("kind", ["tts_request", "tts_stream_request"])
async def test_speech_sounds_like_recording(app: CloningServer, socket: ClientConnection, kind: str) -> None:
    own, last = await ask(socket, kind)
    assert loudness(own) == 1.0 and last["metadata"]["engine"] == "tone"
    assert last["metadata"]["cloning"] == "none"
    assert not {"similarity", "cloning_note"} & set(last["metadata"])
    heard, last = await ask(socket, kind, reference_audio=encoded(hum(level=0.25)))
    metadata = last["metadata"]
    assert loudness(heard) == 0.25
    assert (metadata["engine"], metadata["cloning"]) == ("echo", "nearest voice")
    assert metadata["similarity"] == FORESEEN
    assert "near" in metadata["cloning_note"] and "not the same" in metadata["cloning_note"]
    assert "reference_audio" not in metadata["unused"]


async def test_repeated_recording_is_refined(app: CloningServer, socket: ClientConnection) -> None:
    for _ in range(2):
        _, last = await ask(socket, reference_audio=encoded(hum()))
        assert last["metadata"]["similarity"] == FORESEEN
    async with asyncio.timeout(300):
        while last["metadata"]["similarity"] != MEASURED:
            _, last = await ask(socket, reference_audio=encoded(hum()))
    assert len(app.echo.embedded) == 1


async def test_named_recording_is_kept_for_connection(app: CloningServer, socket: ClientConnection) -> None:
    named = {"voice_id": "user_voice"}
    for level in (0.25, 0.75):
        heard, _ = await ask(socket, reference_audio=encoded(hum(level=level)), config=named)
        assert loudness(heard) == level
        heard, last = await ask(socket, config=named)
        assert loudness(heard) == level and last["metadata"]["cloning"] == "nearest voice"
    async with connect(app.url) as other:
        _, last = await ask(other, config=named)
    assert last["message"] == "voice_id: unknown voice 'user_voice'; GET /v1/audio/voices lists the voices"


def test_connection_forgets_the_recording_that_was_named_longest_ago() -> None:
    voices = NamedVoices(Budgets().references.open())
    recording = Recording(np.zeros(1, np.float32), 1000)
    for number in (*range(MAX_NAMED_VOICES), 0, MAX_NAMED_VOICES):
        voices.keep(f"{number}", recording)
    known = [number for number in range(MAX_NAMED_VOICES + 1) if voices.get(f"{number}") is not None]
    assert known == [0, *range(2, MAX_NAMED_VOICES + 1)]


async def test_recordings_that_are_named_or_wait_share_their_memory(
    app: CloningServer, socket: ClientConnection
) -> None:
    budget = app.server.service.budgets.references
    recording = {"reference_audio": encoded(hum()), "config": {"voice_id": "user_voice"}}
    await ask(socket, **recording)
    named = budget.used
    assert named
    budget.limit, budget.small = named, 0
    async with connect(app.url) as other:
        _, last = await ask(other, **recording)
        assert last["message"] == "too many recordings are waiting to be imitated: try again later"
        budget.limit = 3 * named
        _, last = await ask(other, **recording)
        assert last["status"] == "success" and budget.used == 2 * named
    await happens(lambda: budget.used == named)


async def test_stored_voices_are_used_and_others_named(app: CloningServer, socket: ClientConnection) -> None:
    await app.keep("ana", 0.25)
    config = {"voice_id": "custom:ana"}
    heard, last = await ask(socket, config=config)
    assert loudness(heard) == 0.25
    assert last["metadata"]["cloning"] == "nearest voice" and "similarity" in last["metadata"]
    await app.server.service.cloning.delete("custom:ana")
    _, last = await ask(socket, config=config)
    assert last["message"].startswith("voice_id: unknown voice 'custom:ana'; GET /v1/audio/voices lists")
    await app.keep("nobody", 0.0)
    silent = encoded(hum(level=0.0))
    _, last = await ask(socket, reference_audio=silent, config={"voice_id": "mine"})
    assert last["message"] == f"reference_audio: {NO_SPEECH}"
    for voice in ("custom:nobody", "mine"):
        _, last = await ask(socket, config={"voice_id": voice})
        assert last["message"] == f"voice_id: {NO_SPEECH}"


@pytest.mark.parametrize("kind", ["tts_request", "tts_stream_request"])
async def test_unusable_recording_is_refused(socket: ClientConnection, kind: str) -> None:
    no_audio = "is not audio that this server reads (WAV, MP3, Ogg, FLAC or M4A)"
    for recording, reason in ((b"no sound in here", no_audio), (hum(level=0.0), NO_SPEECH)):
        heard, last = await ask(socket, kind, reference_audio=encoded(recording))
        assert not len(heard)
        assert (last["status"], last["message"]) == ("error", f"reference_audio: {reason}")
        heard, _ = await ask(socket, kind)
        assert loudness(heard) == 1.0


async def test_rest_calls_report_cloning(app: CloningServer) -> None:
    body = {"text": TEXT, "reference_audio": encoded(hum(level=0.25))}
    for path in ("/tts", "/stream-tts"):
        answer = await app.post(path, json=body)
        headers, content = answer.headers, answer.content
        # The file's head, or the length of the first piece.
        start, size = (44, None) if path == "/tts" else (4, struct.unpack_from("<I", content)[0])
        heard = np.frombuffer(content[start : size and start + size], "<i2")
        assert loudness(scaled(heard)) == 0.25
        assert headers["x-cloning"] == "nearest voice" and "not the same" in headers["x-cloning-note"]
        assert set(json.loads(headers["x-similarity"])) == {"before", "now", "measured"}
        plain = await app.post(path, json={"text": TEXT, "config": {"speed": 2}, "seed": 1})
        assert (plain.headers["x-cloning"], plain.headers["x-unused"]) == ("none", "config")
        assert not {"x-similarity", "x-cloning-note"} & set(plain.headers)
        refused = await app.post(path, json=body | {"reference_audio": encoded(hum(level=0.0))})
        assert refused.status_code == 400
        assert refused.json() == {"detail": f"reference_audio: {NO_SPEECH}"}
