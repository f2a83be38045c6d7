"""The life of a package's engine: it speaks, is cancelled, is killed, and comes back."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

import numpy as np
import psutil
import pytest

from kani.core.audio.pcm import pcm16
from kani.core.errors import EngineFailed
from kani.core.types import Samples, Segment
from tests.judges.judged import Running


def workers() -> list[psutil.Process]:
    """The processes of this process's workers."""
    return [one for one in psutil.Process().children() if "kani.engines.worker.child" in one.cmdline()]


def pcm_of(samples: Samples) -> Samples:
    """The samples as frames of 16 bits have them."""
    return np.frombuffer(pcm16(samples), "<i2").astype(np.float32) / 32_768


def spoken(one: Running[Any], segment: Segment) -> Samples:
    """What an engine speaks of a segment."""

    async def samples() -> Samples:
        async with aclosing(one.engine.synthesize(segment)) as chunks:
            return np.concatenate([chunk.samples async for chunk in chunks])

    return cast(Samples, one.run(samples()))


def interrupted(one: Running[Any], segment: Segment, *, killed: bool) -> None:
    """Cancel a long segment after its first audio, or kill the workers: then it fails."""

    async def begun() -> None:
        async with aclosing(one.engine.synthesize(segment)) as chunks:
            await anext(chunks)
            for worker in workers() if killed else ():
                worker.kill()
            async for _ in chunks if killed else _none():
                pass

    if not killed:
        one.run(begun())
        return
    with pytest.raises(EngineFailed, match="lost"):
        one.run(begun())


async def _none() -> Any:
    for one in ():
        yield one
