"""The Kani engine with a KaniTTS-2 checkpoint: cloning and languages."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kani.core.errors import EngineFailed, InvalidRequest
from kani.core.types import Embedding, Recording, Samples, Sampling, Segment
from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.model.speaker_encoder import EmbeddingCancelled, SpeakerEmbedder
from kani.engines.kani.settings import KaniSettings
from kani.engines.kani.voices import KaniVoices
from tests.engines.kani.conftest import resources
from tests.engines.kani.model.codec import tiny_codec
from tests.engines.kani.model.random_checkpoint import random_kani_tts_2
from tests.engines.kani.model.random_embedder import random_embedder

pytestmark = pytest.mark.usefixtures("uncompiled_codec")

RATE = 24_000
GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)
TAGS = {"status": "available_language_tags", "language_tags_list": ["en_us", "en_nyork", "es_MX"]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> KaniSettings:
    folder = tmp_path_factory.mktemp("kani")
    tiny_codec.write(folder / "codec.nemo", tiny_codec.SMALL)
    return KaniSettings(
        model=str(random_kani_tts_2(folder / "tiny", language_settings=TAGS)),
        codec=str(folder / "codec.nemo"),
        embedder=str(random_embedder(folder / "embedder")),
        slots=2,
    )


def hum(pitch: float, seconds: float = 1.0, rate: int = RATE) -> Recording:
    """A tone with overtones: for the tiny embedder as good a voice as any."""
    times = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * pitch * n * times) / n for n in range(1, 9))
    return Recording((0.2 * np.asarray(tone)).astype(np.float32), rate)


async def said(engine: KaniEngine, segment: Segment) -> Samples:
    return np.concatenate([chunk.samples async for chunk in engine.synthesize(segment)])


def segment_of(engine: KaniEngine, embedding: Embedding | None = None) -> Segment:
    """A segment of at most half a second."""
    voice = engine.info.voices[0].id
    return Segment("Hola", voice, "es", max_seconds=0.5, sampling=GREEDY, embedding=embedding)


async def test_engine_speaks_like_recording(engine: KaniEngine) -> None:
    info = engine.info
    assert info.cloning == "embedding" and info.embedding_model.startswith("embedder ")
    made = [await engine.embed(hum(pitch)) for pitch in (90, 210)]
    again = await engine.embed(hum(90))
    assert (made[0].engine, made[0].model) == ("kani", info.embedding_model)
    assert made[0].values.shape == (128,) and np.array_equal(made[0].values, again.values)
    assert [better async for better in engine.refine(hum(90), made[0], "es")] == []
    segments = [segment_of(engine, embedding) for embedding in (None, *made)]
    alone = [await said(engine, segment) for segment in segments]
    together = await asyncio.gather(*(said(engine, segment) for segment in segments))
    for number, (one, other) in enumerate(zip(alone, together, strict=True)):
        np.testing.assert_allclose(one, other, atol=1e-5)
        for different in alone[:number]:
            assert one.shape != different.shape or np.abs(one - different).max() > 1e-3
    louder = replace(made[0], values=made[0].values * 5)
    np.testing.assert_allclose(await said(engine, segment_of(engine, louder)), alone[1], atol=1e-5)


async def test_sample_rate_does_not_change_embedding(engine: KaniEngine) -> None:
    wide, narrow = await engine.embed(hum(120, rate=48_000)), await engine.embed(hum(120, rate=16_000))
    assert float(wide.values @ narrow.values) > 0.999


async def test_invalid_embedding_is_refused(engine: KaniEngine) -> None:
    good = await engine.embed(hum(100))
    for bad in (
        replace(good, model="another"),
        replace(good, engine="kokoro"),
        replace(good, values=good.values[1:]),
        replace(good, values=np.zeros(128, np.float32)),
        replace(good, values=np.full(128, np.nan, np.float32)),
        replace(good, values=np.full(128, np.inf, np.float32)),
    ):
        with pytest.raises(InvalidRequest, match=r"^reference: ") as refused:
            await said(engine, segment_of(engine, bad))
        assert refused.value.field == "reference"
    assert engine._kani.scheduler.counts == {"waiting": 0, "running": 0, "paused": 0}


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.full(RATE, 0.5), 1e-5 * hum(100).samples])
async def test_recording_without_speech_is_refused(engine: KaniEngine, samples: Samples) -> None:
    with pytest.raises(InvalidRequest, match="no speech"):
        await engine.embed(Recording(samples.astype(np.float32), RATE))


async def test_cancelled_embedding_ends_within_a_layer(
    engine: KaniEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, asked = asyncio.Event(), []
    loop = asyncio.get_running_loop()
    embed = SpeakerEmbedder.embed

    def slow(self: SpeakerEmbedder, samples: Samples, stopped: Callable[[], bool]) -> Samples:
        def ask() -> bool:
            loop.call_soon_threadsafe(begun.set)
            asked.append(len(samples))
            while not stopped():
                time.sleep(0.001)  # the longest layer there could be
            return True

        return embed(self, samples, ask)

    monkeypatch.setattr(SpeakerEmbedder, "embed", slow)
    hearing = asyncio.create_task(engine.embed(hum(100)))
    await begun.wait()
    waiting = asyncio.create_task(engine.embed(hum(200)))
    await asyncio.sleep(0)
    for one in (waiting, hearing):
        # The one that waits does not wait for the other's end.
        assert not hearing.done()
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
    assert len(asked) == 1
    monkeypatch.undo()
    assert (await engine.embed(hum(100))).values.shape == (128,)


async def test_stop_cancels_embedding(
    settings: KaniSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = KaniEngine(settings, resources(tmp_path))
    await engine.start()
    begun, loop = asyncio.Event(), asyncio.get_running_loop()

    def endless(self: SpeakerEmbedder, samples: Samples, stopped: Callable[[], bool]) -> Samples:
        loop.call_soon_threadsafe(begun.set)
        while not stopped():
            time.sleep(0.001)  # a layer
        raise EmbeddingCancelled

    monkeypatch.setattr(SpeakerEmbedder, "embed", endless)
    hearing = asyncio.create_task(engine.embed(hum(100)))
    await begun.wait()
    await engine.stop()
    with pytest.raises(EngineFailed, match="stopped"):
        await hearing


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
async def test_embedding_thread_has_lower_priority(engine: KaniEngine) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    theirs = await asyncio.get_running_loop().run_in_executor(engine._embedder.pool, niceness)
    assert theirs == max(10, niceness())


async def test_embedder_error_fails_recording(engine: KaniEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Samples:
        raise RuntimeError("no memory")

    monkeypatch.setattr(SpeakerEmbedder, "embed", broken)
    with pytest.raises(EngineFailed, match="could not embed the recording"):
        await engine.embed(hum(100))


@pytest.mark.parametrize(
    ("embedder", "complaint"),
    [("/nowhere/at/all", "neither a local path nor"), ("narrow", "64 numbers, the model takes 128")],
)
async def test_missing_embedder_disables_cloning(
    settings: KaniSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture, embedder: str, complaint: str
) -> None:
    if embedder == "narrow":
        embedder = str(random_embedder(tmp_path / "narrow", outputs=64))
    engine = KaniEngine(settings.model_copy(update={"embedder": embedder}), resources(tmp_path))
    with caplog.at_level(logging.WARNING):
        await engine.start()
    try:
        assert (engine.info.cloning, engine.info.embedding_model) == ("none", "")
        assert complaint in caplog.text and "--embedder" in caplog.text
        assert len(await said(engine, segment_of(engine)))
        with pytest.raises(EngineFailed, match="does not clone"):
            await engine.embed(hum(100))
        stray = Embedding("kani", "", np.ones(128, np.float32))
        with pytest.raises(InvalidRequest, match="does not support voice cloning"):
            await said(engine, segment_of(engine, stray))
    finally:
        await engine.stop()


async def test_speaker_takes_one_token(engine: KaniEngine) -> None:
    kani, embedding = engine._kani, await engine.embed(hum(100))
    room = kani.runner.max_prompt_tokens - len(kani.layout.prompt(kani.checkpoint.text_tokens("es_MX: ")))
    text = "o" * room
    assert len(engine._split(kani, segment_of(engine), text)) == 1
    pieces = engine._split(kani, segment_of(engine, embedding), text)
    assert len(pieces) == 2 and "".join(piece for piece, _ in pieces) == text
    assert len(await said(engine, replace(segment_of(engine, embedding), text=text)))


async def test_language_tag_prefixes_text(engine: KaniEngine) -> None:
    assert list(engine.info.default_voices) == ["en", "es"]
    kani = engine._kani
    segment = replace(segment_of(engine), language="es")
    expected = kani.layout.prompt(kani.checkpoint.text_tokens("es_MX: Hola"))
    assert engine._split(kani, segment, "Hola") == [("Hola", expected)]


@pytest.mark.parametrize(
    ("language", "tag"),
    [
        ("en", "en_us"), ("en-US", "en_us"), ("en-GB", "en_us"), ("en-nyork", "en_nyork"),
        ("es", "es"), ("es-MX", "es-mx"), ("es-AR", "es"), ("zh-Hans-CN", "zh"), ("fr-FR", "French"),
    ],
)  # fmt: skip
def test_closest_tag_is_chosen(language: str, tag: str) -> None:
    tags = ["en_us", "en_nyork", "es-mx", "es", "zh", "French"]
    voices = KaniVoices("kani", "many", (), tags)
    assert voices.prompt_text("Hola", "kani:many", language) == f"{tag}: Hola"
    assert voices.prompt_text("Hola", None, language) == f"{tag}: Hola"


def test_unknown_tag_is_logged_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    voices = KaniVoices("kani", "second-de", (), ["qqq", "es"])
    assert "'qqq'" in caplog.text and list(voices.default_voices) == ["es"]
    assert list(KaniVoices("kani", "second-de", (), ["qqq"]).default_voices) == ["de"]
    assert voices.prompt_text("Hola", None, "fr") == "Hola"


def test_speaker_name_prefixes_text() -> None:
    voices = KaniVoices("kani", "many", ("nova",), ["es"])
    assert voices.prompt_text("Hola", "kani:nova", "es") == "nova: Hola"
    assert voices.prompt_text("Hola", None, "es") == "es: Hola"
