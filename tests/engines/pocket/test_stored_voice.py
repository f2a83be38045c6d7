"""Stored voices of Pocket TTS through a protocol: the speaker state of the recording reaches the model."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np

from kani.core.audio.pcm import REFERENCE_RATE, decode_recording, wav
from kani.core.types import Samples, Sampling, Segment
from kani.engines.espeak.engine import EspeakEngine
from kani.engines.pocket.engine import PocketEngine
from tests.clients.voxcpm.wire import opened
from tests.protocols.conftest import start_app as start_app
from tests.support.app_server import StartApp

TEXT = "Guten Morgen!"


async def _recorded() -> bytes:
    """A recording of speech, which the store demands."""
    espeak = EspeakEngine()
    await espeak.start()
    segment = Segment("Dies ist meine eigene Stimme, und ich lese einige ganze Sätze vor.", "espeak:de", "de")
    samples = np.concatenate([chunk.samples async for chunk in espeak.synthesize(segment)])
    await espeak.stop()
    return wav(samples, espeak.info.sample_rate)


async def _spoken(engine: PocketEngine, recording: bytes | None) -> Samples:
    """The engine's own call, as the stored voice's recording is decoded."""
    embedding = None
    if recording is not None:
        embedding = await engine.embed(decode_recording(recording, sample_rate=REFERENCE_RATE))
    segment = Segment(TEXT, "pocket:juergen", "de", sampling=Sampling(seed=3), embedding=embedding)
    return np.concatenate([chunk.samples async for chunk in engine.synthesize(segment)])


async def test_stored_voice_speaks_as_the_engine_does_with_its_recording(
    folder: Path, engine: PocketEngine, start_app: StartApp
) -> None:
    app = start_app(
        KANI_ENGINE="pocket",
        KANI_POCKET_LANGUAGES="de",
        KANI_POCKET_MODEL=str(folder),
        KANI_POCKET_PRECISION="float32",
    )
    recording = await _recorded()
    async with httpx.AsyncClient(base_url=app.http_url) as client:
        given = {"name": "ana", "consent": "Sie ist einverstanden.", "language": "de"}
        made = await client.post(
            "/v1/audio/voices", data=given, files={"audio": ("a.wav", recording, "audio/wav")}
        )
        assert made.status_code == 201, made.text
    async with opened(app.url) as client:
        cloned = await client.speak(TEXT, voice_id="custom:ana", language="de", seed=3)
        own = await client.speak(TEXT, voice_id="pocket:juergen", language="de", seed=3)
    assert cloned.last["result"]["cloning"] == "embedding" and own.last["result"]["cloning"] == "none"
    for answer, expected in (
        (cloned, await _spoken(engine, recording)),
        (own, await _spoken(engine, None)),
    ):
        # One step of 16 bits is rounding: the threads of two schedulers divide sums in their own ways.
        assert len(answer.samples) == len(expected)
        assert np.abs(answer.samples - np.clip(expected, -1, 1)).max() < 1e-4
    shorter = min(len(cloned.samples), len(own.samples))
    assert np.abs(cloned.samples[:shorter] - own.samples[:shorter]).max() > 1e-2
