"""The Kani engine: random checkpoints through the server, the engine's contract, cloning and languages."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.types import Embedding, Recording, Samples, Sampling, Segment, Span
from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.speaker_encoder import SpeakerEmbedder
from kani.engines.kani.model.tokens import TokenLayout
from kani.engines.kani.plugin import KaniSettings
from kani.runtime.silence_trim import SilenceTrimmer
from tests.conftest import StartServer
from tests.engines.kani.conftest import model_beside, resources, started
from tests.engines.kani.model.codec import tiny_codec
from tests.engines.kani.model.random_checkpoint import random_checkpoint, random_embedder, random_kani_tts_2
from tests.engines.packages.life import said
from tests.judges.lfm2_judge import Judge
from websocket_client import KaniTTSClient

pytestmark = pytest.mark.usefixtures("uncompiled_codec")

SAMPLES_A_FRAME = 1764
RATE = 22050
TEXTS = ("Hola, ya hablo.", "Un texto algo más largo que el primero, con una coma.", "¿Y tú?")
IDLE = {"waiting": 0, "running": 0, "paused": 0}
GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)


def greedy_codes(folder: Path, text: str, frames: int) -> Samples:
    checkpoint = Checkpoint(folder / "tiny")
    layout: TokenLayout = checkpoint.layout(codebooks=4, codebook_size=4032)
    judge = Judge(folder / "tiny", layout)
    tokens = layout.prompt(checkpoint.text_tokens(text))
    codes: list[int] = []
    for place in range(frames * 4):
        logits = judge.logits(tokens)[-1]
        start, end = layout.codebook_range(place % 4)
        if place % 4 == 0 and logits[layout.end_of_speech] > logits[start:end].max():
            break
        codes.append(int(logits[start:end].argmax()))
        tokens.append(start + codes[-1])
    return np.array(codes, np.int64).reshape(-1, 4)


def segment_of(engine: KaniEngine, text: str = "Hola", **how: Any) -> Segment:
    """A segment of at most half a second, unless told otherwise."""
    return Segment(text, engine.info.voices[0].id, "es", **({"max_seconds": 0.5, "sampling": GREEDY} | how))


async def test_websocket_streams_transformers_samples(folder: Path, start_server: StartServer) -> None:
    server = start_server(
        "--engine", "kani", "--model", str(folder / "tiny"), "--codec", str(folder / "codec.nemo"),
        "--device", "cpu", "--precision", "float32", KANI_THREADS="1",
    )  # fmt: skip
    assert "kani tiny, float32" in server.banner
    frames = 30

    async def heard(text: str, chunk_size: int) -> Samples:
        config = {
            "temperature": 0.0,
            "repetition_penalty": 1.0,
            "chunk_size": chunk_size,
            "lookback_frames": 15,
            "max_tokens": frames * 4,
        }
        async with KaniTTSClient(server.host, server.port) as client:
            parts = [part.pcm async for part in client.stream(text, config)]
        assert max(map(len, parts)) <= 2 * chunk_size * SAMPLES_A_FRAME
        return np.frombuffer(b"".join(parts), "<i2")

    answers = await asyncio.gather(*map(heard, TEXTS, (1, 3, 25)))
    # tests/engines/kani/model/codec compares its samples with NeMo's.
    codec = NanoCodec.load(folder / "codec.nemo", device=torch.device("cpu"), precision=torch.float32)
    for answer, text in zip(answers, TEXTS, strict=True):
        codes = torch.from_numpy(greedy_codes(folder, text, frames))[None]
        trim = SilenceTrimmer(RATE)
        trimmed = trim.feed(codec.decode(codes, torch.tensor([0]), codec.new_state(1))[0].numpy())
        expected = np.concatenate([trimmed, trim.finish()])
        assert len(answer) == len(expected)
        # Rounded once: nearly half a step at most, and what calls of other sizes change in the last bits.
        assert np.abs(answer - np.minimum(expected * 32768, 32767)).max() < 0.51


async def test_segment_streams_and_ends_with_span(engine: KaniEngine) -> None:
    segment = segment_of(engine, TEXTS[1], max_seconds=4.0)
    chunks = [chunk async for chunk in engine.synthesize(segment)]
    assert len(chunks[0].samples) <= SAMPLES_A_FRAME
    for before, after in pairwise(chunks):
        assert after.start_s == pytest.approx(before.end_s)
    assert [chunk.spans for chunk in chunks[:-1]] == [()] * (len(chunks) - 1)
    assert chunks[-1].spans == (Span(0, len(segment.text), 0.0, pytest.approx(chunks[-1].end_s)),)


async def test_seed_does_not_depend_on_other_requests(engine: KaniEngine) -> None:
    segments = [segment_of(engine, text, max_seconds=1.0, sampling=Sampling(seed=7)) for text in TEXTS]
    alone = await said(engine, segments[0])
    among = (await asyncio.gather(*(said(engine, segment) for segment in segments)))[0]
    np.testing.assert_allclose(among, alone, atol=1e-5)
    assert not np.array_equal(await said(engine, replace(segments[0], sampling=Sampling(seed=8))), alone)


async def test_closed_generator_frees_slot(engine: KaniEngine) -> None:
    segment = segment_of(engine, TEXTS[0], max_seconds=24.0)
    for _ in range(5):
        async with aclosing(engine.synthesize(segment)) as chunks:
            await anext(chunks)
        assert engine._kani.scheduler.counts == IDLE
    waiting = asyncio.create_task(anext(engine.synthesize(segment)))
    await asyncio.sleep(0)
    for _ in range(3):  # however often it is told
        waiting.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(waiting, return_exceptions=True)
    assert engine._kani.scheduler.counts == IDLE


@pytest.mark.parametrize(
    ("change", "given", "complaint"),
    [
        ({}, {"model": "/nowhere/at/all"}, "neither a local path nor"),
        ({"codec": __file__}, {}, "tar"),
        ({}, {"slots": 10**9}, "KANI_MAX_CONCURRENT"),
        ({}, {"device": "abacus"}, "not a device"),
        ({}, {"device": "cuda:99"}, "CUDA|device"),
    ],
)
async def test_failed_start_reports_reason(
    settings: KaniSettings, tmp_path: Path, change: dict[str, Any], given: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(EngineUnavailable, match=complaint):
        given = {"model": model_beside(settings)} | given
        await KaniEngine(settings.model_copy(update=change), resources(tmp_path, **given)).start()


async def test_model_without_speech_fails_segment(engine: KaniEngine) -> None:
    codec = engine._kani.codec
    decode = codec.decode
    codec.decode = lambda *given: decode(*given) * 0  # a codec that is silent whatever it is told
    segment = segment_of(engine, max_seconds=1.0, sampling=Sampling(seed=1))
    with pytest.raises(EngineFailed, match="no voice"):
        [chunk async for chunk in engine.synthesize(segment)]
    codec.decode = decode
    assert [chunk async for chunk in engine.synthesize(segment)]


async def test_checkpoint_speakers_are_voices(settings: KaniSettings, tmp_path: Path) -> None:
    speakers = {"status": "multispeaker", "speaker_list": ["katie", "nova", "karim"]}
    model = str(random_checkpoint(tmp_path / "many", speaker_settings=speakers))
    async with started(settings, tmp_path, model=model) as engine:
        assert [voice.id for voice in engine.info.voices] == ["kani:katie", "kani:nova", "kani:karim"]
        assert engine.info.default_voices["es"] == "kani:nova"
        assert engine.info.default_voices["ar"] == "kani:karim"
        kani = engine._kani
        expected = kani.layout.prompt(kani.checkpoint.text_tokens("nova: Hola"))
        assert engine._split(kani, Segment("Hola", "kani:nova", "es"), "Hola") == [("Hola", expected)]


TAGS = {"status": "available_language_tags", "language_tags_list": ["en_us", "en_nyork", "es_MX"]}


@pytest.fixture(scope="module")
def cloning(tmp_path_factory: pytest.TempPathFactory) -> KaniSettings:
    folder = tmp_path_factory.mktemp("kani")
    tiny_codec.write(folder / "codec.nemo", tiny_codec.SMALL)
    random_kani_tts_2(folder / "tiny", language_settings=TAGS)
    return KaniSettings(codec=str(folder / "codec.nemo"), embedder=str(random_embedder(folder / "embedder")))


@pytest.fixture
async def cloner(cloning: KaniSettings, tmp_path: Path) -> AsyncIterator[KaniEngine]:
    async with started(cloning, tmp_path) as engine:
        yield engine


def hum(pitch: float, seconds: float = 1.0, rate: int = RATE) -> Recording:
    """A tone with overtones: for the tiny embedder as good a voice as any."""
    times = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * pitch * n * times) / n for n in range(1, 9))
    return Recording((0.2 * np.asarray(tone)).astype(np.float32), rate)


async def test_engine_speaks_like_recording_or_file_of_its_voice(
    cloner: KaniEngine, cloning: KaniSettings, tmp_path: Path
) -> None:
    info = cloner.info
    assert info.cloning.kind == "embedding" and info.cloning.model.startswith("embedder ")
    made = [await cloner.embed(hum(pitch)) for pitch in (90, 210)]
    again, wide = await cloner.embed(hum(90)), await cloner.embed(hum(90, rate=48_000))
    assert (made[0].engine, made[0].model) == ("kani", info.cloning.model)
    assert made[0].values.shape == (128,) and np.array_equal(made[0].values, again.values)
    assert float(wide.values @ again.values) > 0.999
    segments = [segment_of(cloner, embedding=embedding) for embedding in (None, *made)]
    alone = [await said(cloner, segment) for segment in segments]
    together = await asyncio.gather(*(said(cloner, segment) for segment in segments))
    for number, (one, other) in enumerate(zip(alone, together, strict=True)):
        np.testing.assert_allclose(one, other, atol=1e-5)
        for different in alone[:number]:
            assert one.shape != different.shape or np.abs(one - different).max() > 1e-3
    louder = replace(made[0], values=made[0].values * 5)
    np.testing.assert_allclose(await said(cloner, segment_of(cloner, embedding=louder)), alone[1], atol=1e-5)
    folder = tmp_path / "voices"
    folder.mkdir()
    torch.save(torch.from_numpy(np.asarray(made[1].values)), folder / "nova.pt")
    async with started(cloning, tmp_path, voices=str(folder)) as engine:
        assert [voice.id for voice in engine.info.voices] == ["kani:nova"]
        from_file = await said(engine, replace(segment_of(engine), voice="kani:nova"))
    np.testing.assert_allclose(from_file, alone[2], atol=1e-5)


async def test_invalid_embeddings_are_refused(cloner: KaniEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    good = await cloner.embed(hum(100))
    for wrong in (
        {"model": "another"},
        {"engine": "kokoro"},
        {"values": good.values[1:]},
        *({"values": np.full(128, value, np.float32)} for value in (0.0, np.nan, np.inf)),
    ):
        with pytest.raises(InvalidRequest, match=r"^reference: ") as refused:
            await said(cloner, segment_of(cloner, embedding=replace(good, **wrong)))
        assert refused.value.field == "reference"
    assert cloner._kani.scheduler.counts == IDLE
    for samples in (np.zeros(RATE), np.full(RATE, 0.5), 1e-5 * hum(100).samples):
        with pytest.raises(InvalidRequest, match="no speech"):
            await cloner.embed(Recording(samples.astype(np.float32), RATE))

    def broken(*_: object) -> Samples:
        raise RuntimeError("no memory")

    monkeypatch.setattr(SpeakerEmbedder, "embed", broken)
    with pytest.raises(EngineFailed, match="could not embed the recording"):
        await cloner.embed(hum(100))


@pytest.fixture
async def endless(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, list[int]]:
    """Have embeddings take until they are stopped; an event when one has begun, and the lengths of all."""
    begun, asked, embed = asyncio.Event(), list[int](), SpeakerEmbedder.embed
    loop = asyncio.get_running_loop()

    def slow(self: SpeakerEmbedder, samples: Samples, stopped: Callable[[], bool]) -> Samples:
        def ask() -> bool:
            loop.call_soon_threadsafe(begun.set)
            asked.append(len(samples))
            while not stopped():
                time.sleep(0.001)  # the longest layer there could be
            return True

        return embed(self, samples, ask)

    monkeypatch.setattr(SpeakerEmbedder, "embed", slow)
    return begun, asked


async def test_cancelled_embedding_ends_within_a_layer(
    cloner: KaniEngine, endless: tuple[asyncio.Event, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, asked = endless
    hearing = asyncio.create_task(cloner.embed(hum(100)))
    await begun.wait()
    waiting = asyncio.create_task(cloner.embed(hum(200)))
    await asyncio.sleep(0)
    for one in (waiting, hearing):
        # The one that waits does not wait for the other's end.
        assert not hearing.done()
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
    assert len(asked) == 1
    monkeypatch.undo()
    assert (await cloner.embed(hum(100))).values.shape == (128,)


async def test_stop_cancels_embedding(
    cloning: KaniSettings, tmp_path: Path, endless: tuple[asyncio.Event, list[int]]
) -> None:
    async with started(cloning, tmp_path) as engine:
        hearing = asyncio.create_task(engine.embed(hum(100)))
        await endless[0].wait()
    with pytest.raises(EngineFailed, match="stopped"):
        await hearing


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
async def test_embedding_thread_has_lower_priority(cloner: KaniEngine) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    theirs = await asyncio.get_running_loop().run_in_executor(cloner._embedding, niceness)
    assert theirs == max(10, niceness())


@pytest.mark.parametrize(
    ("embedder", "complaint"),
    [("/nowhere/at/all", "neither a local path nor"), ("narrow", "64 numbers, the model takes 128")],
)
async def test_missing_embedder_disables_cloning(
    cloning: KaniSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture, embedder: str, complaint: str
) -> None:
    if embedder == "narrow":
        embedder = str(random_embedder(tmp_path / "narrow", outputs=64))
    async with started(cloning.model_copy(update={"embedder": embedder}), tmp_path) as cloner:
        assert (cloner.info.cloning.kind, cloner.info.cloning.model) == ("none", "")
        assert complaint in caplog.text and "--embedder" in caplog.text
        assert len(await said(cloner, segment_of(cloner)))
        with pytest.raises(EngineFailed, match="does not clone"):
            await cloner.embed(hum(100))
        stray = Embedding("kani", "", np.ones(128, np.float32))
        with pytest.raises(InvalidRequest, match="does not support voice cloning"):
            await said(cloner, segment_of(cloner, embedding=stray))


async def test_text_is_split_spoken_and_follows_its_speaker(cloner: KaniEngine) -> None:
    kani, embedding = cloner._kani, await cloner.embed(hum(100))
    room = kani.runner.max_prompt_tokens - len(kani.layout.prompt(kani.checkpoint.text_tokens("es_MX: ")))
    for text, least, most in (("o" * room, 1, 1), ("o" * room, 2, 2), ("una palabra " * 120, 2, 99)):
        segment = segment_of(cloner, text, embedding=embedding if least > 1 else None)
        pieces = cloner._split(kani, segment, text)
        assert least <= len(pieces) <= most
        assert "".join(piece for piece, _ in pieces) == text
        assert all(len(prompt) <= kani.runner.max_prompt_tokens for _, prompt in pieces)
        assert least != 2 or len(await said(cloner, segment))
    assert list(cloner.info.default_voices) == ["en", "es"]
    expected = kani.layout.prompt(kani.checkpoint.text_tokens("es_MX: Hola"))
    assert cloner._split(kani, segment_of(cloner), "Hola") == [("Hola", expected)]
