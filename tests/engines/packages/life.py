"""A package's engine in this process, and its life: it speaks, is interrupted, and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from prometheus_client import CollectorRegistry

from kani.core.engine import Engine
from kani.core.errors import EngineFailed
from kani.core.types import Samples, Segment, SpeechChunk
from kani.engines.packages.engine import PackageEngine
from kani.engines.plugin import Resources
from kani.engines.pool_metrics import Restarts
from kani.engines.registry import Registry
from tests.support.patience import WITHIN_S

STAND_INS = Path(__file__).parent / "stand_ins"
"""Folder for PYTHONPATH: workers find stand-ins for makers' packages there, before what is installed."""


def resources(folder: Path, **given: Any) -> Resources:
    registry = CollectorRegistry()
    host = Registry(lambda model: model(), Resources(folder), registry, Restarts(registry))
    return Resources(folder, host=host, **given)


@contextmanager
def stand_ins(**environment: str) -> Iterator[None]:
    """Have workers find the stand-ins, and wait for those that were lost as long as a test waits."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ({"PYTHONPATH": str(STAND_INS)} | environment).items():
            patch.setenv(name, value)
        patch.setattr("kani.engines.remote.link.MAX_WAIT_S", WITHIN_S)
        yield


@asynccontextmanager
async def started(one: Any) -> AsyncIterator[Any]:
    """Start an engine or a recogniser, and stop it, also where it did not start."""
    try:
        await one.start()
        yield one
    finally:
        await one.stop()


def workers(process: psutil.Process | None = None) -> list[psutil.Process]:
    """The processes of a process's workers, this one's unless another is named."""
    found = []
    for one in (process or psutil.Process()).children():
        with suppress(psutil.NoSuchProcess):  # it may end meanwhile
            found += [one] if "kani.engines.worker.child" in one.cmdline() else []
    return found


async def chunks_of(engine: Engine, segment: Segment) -> list[SpeechChunk]:
    async with aclosing(engine.synthesize(segment)) as chunks:
        return [chunk async for chunk in chunks]


async def said(engine: PackageEngine, segment: Segment) -> Samples:
    return np.concatenate([chunk.samples for chunk in await chunks_of(engine, segment)])


async def interrupted(engine: PackageEngine, segment: Segment, *, killed: bool) -> None:
    """Cancel a long segment after its first audio, or kill the workers: then it fails."""
    async with aclosing(engine.synthesize(segment)) as chunks:
        await anext(chunks)
        if not killed:
            return
        for worker in workers():
            worker.kill()
        with pytest.raises(EngineFailed, match="lost"):
            async for _ in chunks:
                pass
