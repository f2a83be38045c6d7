"""The Kani engine: a random checkpoint through the server, and the engine's contract."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Lfm2ForCausalLM

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.types import Samples, Sampling, Segment, Span, SpeechChunk
from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.output_guard import AUDIBLE
from kani.engines.kani.model.tokens import TokenLayout
from kani.engines.kani.settings import KaniSettings
from kani.runtime.silence_trim import SilenceTrimmer
from tests.conftest import StartServer
from tests.engines.kani.conftest import resources
from tests.engines.kani.model.random_checkpoint import random_checkpoint
from websocket_client import KaniTTSClient

pytestmark = pytest.mark.usefixtures("uncompiled_codec")

SAMPLES_A_FRAME = 1764
RATE = 22050
TEXTS = ("Hola, ya hablo.", "Un texto algo más largo que el primero, con una coma.", "¿Y tú?")
IDLE = {"waiting": 0, "running": 0, "paused": 0}
GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)


def greedy_codes(folder: Path, text: str, frames: int) -> Samples:
    """Greedy codes of transformers' own forward pass."""
    checkpoint = Checkpoint(folder / "tiny")
    layout: TokenLayout = checkpoint.layout(codebooks=4, codebook_size=4032)
    model = Lfm2ForCausalLM.from_pretrained(folder / "tiny", dtype=torch.float32)
    tokens = layout.prompt(checkpoint.text_tokens(text))
    codes: list[int] = []
    with torch.inference_mode():
        for place in range(frames * 4):
            logits = model(torch.tensor([tokens])).logits[0, -1]
            start, end = layout.codebook_range(place % 4)
            if place % 4 == 0 and logits[layout.end_of_speech] > logits[start:end].max():
                break
            codes.append(int(logits[start:end].argmax()))
            tokens.append(start + codes[-1])
    return np.array(codes, np.int64).reshape(-1, 4)


def decoded(folder: Path, streams: list[Samples]) -> list[Samples]:
    """Samples of each sequence's codes, which tests/engines/kani/model/codec compares with NeMo's."""
    codec = NanoCodec.load(folder / "codec.nemo", device=torch.device("cpu"), precision=torch.float32)
    slot = torch.tensor([0])
    return [
        codec.decode(torch.from_numpy(codes)[None], slot, codec.new_state(1))[0].numpy() for codes in streams
    ]


def without_silence(samples: Samples) -> Samples:
    """The samples without the silence at both ends."""
    trim = SilenceTrimmer(RATE, AUDIBLE)
    return np.concatenate([trim.feed(samples), trim.finish()])


async def test_websocket_streams_samples_of_transformers_tokens(
    folder: Path, start_server: StartServer
) -> None:
    server = start_server(
        "--engine", "kani", "--model", str(folder / "tiny"), "--codec", str(folder / "codec.nemo"),
        "--device", "cpu", "--precision", "float32", KANI_THREADS="1",
    )  # fmt: skip
    assert "kani tiny, float32" in server.banner
    frames = 30

    async def heard(text: str, chunk_size: int) -> bytes:
        config = {
            "temperature": 0.0,
            "repetition_penalty": 1.0,
            "chunk_size": chunk_size,
            "lookback_frames": 15,
            "max_tokens": frames * 4,
        }
        async with KaniTTSClient(server.host, server.port) as client:
            parts = [part async for part in client.stream(text, config)]
        assert max(len(part.pcm) for part in parts) <= 2 * chunk_size * SAMPLES_A_FRAME
        return b"".join(part.pcm for part in parts)

    answers = await asyncio.gather(*map(heard, TEXTS, (1, 3, 25)))
    speech = decoded(folder, [greedy_codes(folder, text, frames) for text in TEXTS])
    for answer, expected in zip(answers, map(without_silence, speech), strict=True):
        got = np.frombuffer(answer, "<i2")
        assert len(got) == len(expected)
        # Rounded once: nearly half a step at most, and what calls of other sizes change in the last bits.
        assert np.abs(got - np.minimum(expected * 32768, 32767)).max() < 0.51


async def test_segment_streams_and_ends_with_span(engine: KaniEngine) -> None:
    segment = Segment(TEXTS[1], engine.info.voices[0].id, "es", max_seconds=4.0, sampling=GREEDY)
    chunks = [chunk async for chunk in engine.synthesize(segment)]
    assert len(chunks[0].samples) <= SAMPLES_A_FRAME
    for before, after in pairwise(chunks):
        assert after.start_s == pytest.approx(before.end_s)
    assert [chunk.spans for chunk in chunks[:-1]] == [()] * (len(chunks) - 1)
    assert chunks[-1].spans == (Span(0, len(segment.text), 0.0, pytest.approx(chunks[-1].end_s)),)


async def test_seed_does_not_depend_on_other_requests(engine: KaniEngine) -> None:
    sampling = Sampling(seed=7)

    async def said(text: str, sampling: Sampling) -> Samples:
        segment = Segment(text, engine.info.voices[0].id, "es", max_seconds=1.0, sampling=sampling)
        return np.concatenate([chunk.samples async for chunk in engine.synthesize(segment)])

    alone = await said(TEXTS[0], sampling)
    among = (await asyncio.gather(*(said(text, sampling) for text in TEXTS)))[0]
    np.testing.assert_allclose(among, alone, atol=1e-5)
    assert not np.array_equal(await said(TEXTS[0], Sampling(seed=8)), alone)


async def test_closed_generator_frees_slot(engine: KaniEngine) -> None:
    segment = Segment(TEXTS[0], engine.info.voices[0].id, "es", sampling=GREEDY)
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


async def test_lagging_readers_yield_slots(engine: KaniEngine) -> None:
    segment = Segment(TEXTS[0], engine.info.voices[0].id, "es", max_seconds=4.0, sampling=GREEDY)
    lagging = [engine.synthesize(segment) for _ in range(2)]
    first = [await anext(chunks) for chunks in lagging]
    third = [chunk async for chunk in engine.synthesize(segment)]
    for chunk, chunks in zip(first, lagging, strict=True):
        rest: list[SpeechChunk] = [chunk async for chunk in chunks]
        whole = np.concatenate([part.samples for part in (chunk, *rest)])
        np.testing.assert_allclose(whole, np.concatenate([part.samples for part in third]), atol=1e-5)


async def test_long_text_is_split_into_prompts(engine: KaniEngine) -> None:
    segment = Segment("una palabra " * 120, engine.info.voices[0].id, "es", sampling=GREEDY)
    pieces = engine._split(engine._kani, segment, segment.text)
    assert len(pieces) > 1
    assert all(len(prompt) <= engine._kani.runner.max_prompt_tokens for _, prompt in pieces)
    assert "".join(text for text, _ in pieces) == segment.text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model": "/nowhere/at/all"}, "neither a local path nor"),
        ({"codec": __file__}, "tar"),
        ({"slots": 10**9}, "--slots"),
    ],
)
async def test_failed_start_reports_reason(
    settings: KaniSettings, tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    engine = KaniEngine(settings.model_copy(update=change), resources(tmp_path))
    with pytest.raises(EngineUnavailable, match=complaint):
        await engine.start()


@pytest.mark.parametrize(("device", "complaint"), [("abacus", "not a device"), ("cuda:99", "CUDA|device")])
async def test_device_that_is_not_here_is_named(
    settings: KaniSettings, tmp_path: Path, device: str, complaint: str
) -> None:
    engine = KaniEngine(settings, resources(tmp_path, device))
    with pytest.raises(EngineUnavailable, match=complaint):
        await engine.start()


async def test_model_without_speech_fails_segment(engine: KaniEngine) -> None:
    codec = engine._kani.codec
    decode = codec.decode
    codec.decode = lambda *given: decode(*given) * 0  # a codec that is silent whatever it is told
    segment = Segment(TEXTS[0], engine.info.voices[0].id, "es", max_seconds=1.0, sampling=Sampling(seed=1))
    with pytest.raises(EngineFailed, match="no voice"):
        [chunk async for chunk in engine.synthesize(segment)]
    codec.decode = decode
    assert [chunk async for chunk in engine.synthesize(segment)]


async def test_checkpoint_speakers_are_voices(settings: KaniSettings, tmp_path: Path) -> None:
    random_checkpoint(
        tmp_path / "many",
        speaker_settings={"status": "multispeaker", "speaker_list": ["katie", "nova", "karim"]},
    )
    engine = KaniEngine(settings.model_copy(update={"model": str(tmp_path / "many")}), resources(tmp_path))
    await engine.start()
    try:
        assert [voice.id for voice in engine.info.voices] == ["kani:katie", "kani:nova", "kani:karim"]
        assert engine.info.default_voices["es"] == "kani:nova"
        assert engine.info.default_voices["ar"] == "kani:karim"
        kani = engine._kani
        expected = kani.layout.prompt(kani.checkpoint.text_tokens("nova: Hola"))
        assert engine._split(kani, Segment("Hola", "kani:nova", "es"), "Hola") == [("Hola", expected)]
    finally:
        await engine.stop()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
async def test_model_speaks_on_gpu(settings: KaniSettings, tmp_path: Path) -> None:
    on_gpu = settings.model_copy(update={"slots": 8})
    engine = KaniEngine(on_gpu, resources(tmp_path, "cuda", "bfloat16"))
    await engine.start()
    try:
        segment = Segment(TEXTS[0], engine.info.voices[0].id, "es", max_seconds=2.0, sampling=GREEDY)

        async def said() -> int:
            return sum([len(chunk.samples) async for chunk in engine.synthesize(segment)])

        assert all(await asyncio.gather(*(said() for _ in range(12))))
    finally:
        await engine.stop()
