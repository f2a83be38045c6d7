"""VoxCPM by nano-vllm-voxcpm, by a package that stands for it: it needs CUDA."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.types import Recording, Samples, Sampling, Segment
from kani.engines.packages.engine import PackageEngine
from kani.engines.plugin import Resources
from kani.engines.registry import Registry
from kani.engines.voxcpm.plugin import PACKAGE
from kani.engines.voxcpm.settings import VoxCPMSettings
from tests.engines.packages.life import workers
from tests.engines.packages.small_checkpoints import written

pytestmark = pytest.mark.server

RATE, PATCH = 16_000, 2_560
LONG = "word " * 70


@asynccontextmanager
async def running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str = "auto"
) -> AsyncIterator[PackageEngine]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "stand_in"))
    settings = VoxCPMSettings(model=str(written(tmp_path, "voxcpm")))
    host = Registry(lambda model: model(), Resources(tmp_path), CollectorRegistry())
    engine = PackageEngine(PACKAGE, settings, Resources(tmp_path, device=device, host=host))
    try:
        await engine.start()
        yield engine
    finally:
        await engine.stop()


def segment(text: str = "one two", seed: int = 400, **changed: object) -> Segment:
    return replace(Segment(text, "voxcpm:en", "en", sampling=Sampling(seed=seed)), **changed)


async def said(engine: PackageEngine, spoken: Segment) -> Samples:
    return np.concatenate([chunk.samples async for chunk in engine.synthesize(spoken)])


async def test_many_segments_are_spoken_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch) as engine:
        assert engine.info.max_concurrency == 64
        assert engine.info.supported_fields == {"seed", "prompt_text", "cfg_value"}
        found = await asyncio.gather(*(said(engine, segment("one " * 9, seed)) for seed in range(300, 380)))
        assert {round(len(one) / PATCH) for one in found} == {9}
        assert len({one.tobytes() for one in found}) == 80


async def test_voices_are_imitated_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch) as engine:
        plain = await said(engine, segment(session="first"))
        kept = await said(engine, segment("three", session="first"))
        assert not np.array_equal(kept[:PATCH], plain[:PATCH])
        assert np.array_equal(plain, await said(engine, segment(session="second")))
        tone = 0.2 * np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE)
        embedding = await engine.embed(Recording(tone.astype(np.float32), RATE))
        cloned = [
            await said(engine, segment(embedding=embedding, options=options))
            for options in ({}, {"prompt_text": "Its words."})
        ]
        assert np.array_equal(*cloned) and not np.array_equal(cloned[0], plain)
        for wrong, field in (
            (segment(embedding=replace(embedding, values=embedding.values[1:])), "reference"),
            (segment(options={"prompt_text": "words"}), "prompt_text"),
            (segment(options={"cfg_value": 99.0}), "cfg_value"),
            (segment("long " * 100), "text"),
        ):
            with pytest.raises(InvalidRequest, match=f"^{field}: "):
                await said(engine, wrong)


@pytest.mark.parametrize("killed", [False, True])
async def test_it_is_interrupted_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    async with running(tmp_path, monkeypatch) as engine:
        async with aclosing(engine.synthesize(segment(LONG))) as chunks:
            await anext(chunks)
            if killed:
                workers()[0].kill()
                with pytest.raises(EngineFailed, match="lost"):
                    async for _ in chunks:
                        pass
        assert len(await said(engine, segment())) > 0


async def test_worker_whose_package_lost_its_process_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as engine:
        with pytest.raises(EngineFailed, match="lost"):
            await said(engine, segment("die"))
        assert len(await said(engine, segment())) > 0


async def test_it_is_used_where_it_is_installed_and_cuda_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for device, reason in (("cpu", "needs .*voxcpm"), ("cuda:1", "cannot load its model: no CUDA device 1")):
        (tmp_path / device).mkdir()
        with pytest.raises(EngineUnavailable, match=reason):
            async with running(tmp_path / device, monkeypatch, device):
                pass
