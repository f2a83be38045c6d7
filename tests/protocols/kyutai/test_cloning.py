"""Voices of recordings in Kyutai's protocol: made by ``/api/voice``, spoken with on the socket."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from kani.core.types import Embedding, Samples
from kani.protocols.kyutai import messages, voice_payload
from tests.clients.kyutai.speaking import opened, rest_of
from tests.clients.kyutai.unmute import UnmuteSpeaker, unmute_clones
from tests.clients.kyutai.wire import EOS, KEY, text_message, unpack
from tests.protocols.cloning_server import NO_SPEECH, CloningServer, cloning_server, hum, loudness

TEXT = "uno dos tres"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[CloningServer]:
    async with cloning_server(tmp_path) as serving:
        yield serving


async def say(app: CloningServer, *sent: bytes, **query: str) -> tuple[Samples, list[dict[str, Any]]]:
    """Send messages at once; return the audio, and all other messages but the words."""
    async with opened(app, **query) as socket:  # type: ignore[arg-type]
        for message in sent:
            await socket.send(message)
        heard = await rest_of(socket)
    return heard.samples, [*heard.others, {"close": heard.code}]


ENDED = [{"type": "Ready"}, {"close": 1000}]


async def as_written() -> AsyncIterator[str]:
    for word in TEXT.split():
        yield word


async def test_unmute_speaks_with_recorded_voice(app: CloningServer) -> None:
    voice = await unmute_clones(app.http_url, hum(level=0.25))
    for embedding, loud_as in ((None, 1.0), (voice, 0.25), (voice, 0.25)):
        speaker = UnmuteSpeaker(app.url, embedding=embedding)
        await speaker.start_up()
        turn = await speaker.say(as_written())
        assert loudness(turn.samples) == loud_as
        assert [word.text for word in turn.words] == TEXT.split()
    # Without a voice the first engine speaks.
    assert (len(app.plain.segments), len(app.echo.segments)) == (1, 2)
    assert len(app.echo.embedded) == 1


async def test_same_recording_gives_same_voice(app: CloningServer) -> None:
    loud, again, soft = [await unmute_clones(app.http_url, hum(level=n)) for n in (0.5, 0.5, 0.25)]
    assert loud == again != soft
    assert len(app.echo.embedded) == 2
    voice = unpack(loud)
    assert list(voice) == ["type", "embeddings", "shape"]
    assert (voice["type"], voice["shape"], len(voice["embeddings"])) == ("Voice", [1, 512, 125], 64_000)


async def test_first_ten_seconds_of_recording_are_used(app: CloningServer) -> None:
    long, cut, short = [await unmute_clones(app.http_url, hum(seconds)) for seconds in (70, 10, 0.5)]
    assert long == cut
    assert [one.duration_s for one in app.echo.embedded] == [10.0, 0.5]
    samples, _ = await say(app, short, text_message(TEXT), EOS)
    assert loudness(samples) == 0.25


@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        (hum(0.4), "body: too short (at least 0.5 s)"),
        (hum(level=0.0), f"body: {NO_SPEECH}"),
        (b"no sound in here", "body: is not audio that this server reads (WAV, MP3, Ogg, FLAC or M4A)"),
    ],
)
async def test_unusable_recording_is_refused(app: CloningServer, recording: bytes, reason: str) -> None:
    async with httpx.AsyncClient(base_url=app.http_url) as client:
        answer = await client.post("/api/voice", content=recording)
        assert answer.status_code == 400
        assert answer.json() == {"error": {"message": reason}}
        assert (await client.post("/api/voice", content=hum())).status_code == 200


async def test_last_voice_before_first_word_is_used(app: CloningServer) -> None:
    loud, soft = [await unmute_clones(app.http_url, hum(level=n)) for n in (0.75, 0.25)]
    tag = '<break time="0.5s"/>'
    for sent, loud_as in (
        ([loud, soft, text_message(TEXT), EOS], 0.25),
        ([text_message(" "), loud, text_message(tag), soft, text_message(TEXT), EOS], 0.25),
        ([soft, text_message("uno"), loud, text_message("dos"), EOS], 0.25),
        ([text_message("uno"), loud, text_message("dos"), loud, EOS], 1.0),
        ([text_message("uno"), EOS, loud], 1.0),
    ):
        for query in ({}, {"voice": "tone_es"}):
            samples, others = await say(app, *sent, **query)
            assert loudness(samples) == loud_as
            assert others == ENDED
    samples, others = await say(app, soft, EOS)
    assert not len(samples) and others == ENDED


async def test_foreign_embeddings_are_ignored(app: CloningServer, caplog: pytest.LogCaptureFixture) -> None:
    ours = await unmute_clones(app.http_url, hum(level=0.25))
    noise = np.random.default_rng(3).normal(0, 0.7, (1, 512, 125)).astype(np.float32)
    foreign = messages.voice(noise)
    with caplog.at_level(logging.INFO, logger="kani.protocols.kyutai.speech_out"):
        samples, others = await say(app, foreign, text_message(TEXT), EOS)
    assert loudness(samples) == 1.0 and others == ENDED
    assert [record.levelname for record in caplog.records] == ["INFO"]
    samples, others = await say(app, ours, foreign, text_message(TEXT), EOS)
    assert loudness(samples) == 0.25 and others == ENDED


async def test_embeddings_of_unknown_engine_are_ignored(app: CloningServer) -> None:
    made = Embedding("echo", "tone 0", np.ones(1, np.float32))
    for embeddings in ((), (made,)):
        voice = messages.voice(voice_payload.pack(embeddings))
        samples, others = await say(app, voice, text_message(TEXT), EOS)
        assert loudness(samples) == 1.0 and others == ENDED


async def test_stored_voice_is_selected_by_id(app: CloningServer) -> None:
    await app.keep("ana", 0.25)
    for voice, loud_as in (("custom:ana", 0.25), ("custom:eva", 1.0)):
        samples, others = await say(app, text_message(TEXT), EOS, voice=voice)
        assert loudness(samples) == loud_as and others == ENDED
        async with httpx.AsyncClient(base_url=app.http_url, headers=KEY) as client:
            posted = await client.post("/api/tts_streaming", json={"text": TEXT, "voice": voice})
        heard = np.frombuffer(posted.content[44:], "<i2").astype(np.float32) / np.float32(32768)
        assert loudness(heard) == loud_as


async def test_unusable_stored_voice_is_reported_as_voice(app: CloningServer) -> None:
    app.echo.deaf = True
    await app.keep("nobody", 0.25)
    reason = f"voice: {NO_SPEECH}"
    samples, others = await say(app, text_message(TEXT), EOS, voice="custom:nobody")
    assert not len(samples)
    assert others[1:] == [{"type": "Error", "message": reason}, {"close": 1007}]
    async with httpx.AsyncClient(base_url=app.http_url, headers=KEY) as client:
        posted = await client.post("/api/tts_streaming", json={"text": TEXT, "voice": "custom:nobody"})
    assert (posted.status_code, posted.json()) == (400, {"error": {"message": reason}})
