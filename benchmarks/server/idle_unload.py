"""Memory of engines never loaded, loaded and unloaded, and the time to be back.

Each runs in a process of its own, as KANI_IDLE_UNLOAD_SECONDS has it. The memory is that of this program,
in the server's place, and of that process. A server unloads Kokoro where another engine is preferred.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import numpy as np
import psutil
import soxr
from prometheus_client import CollectorRegistry

from benchmarks import single_engine
from benchmarks.report import measure, median, mib, table
from benchmarks.sentences import ABOUT_4_S
from kani.composition import settings
from kani.composition.speech_service import Builder
from kani.core.engine import Engine, Unloadable
from kani.core.transcriber import Transcriber, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.pool_metrics import Restarts
from kani.runtime.voice_detector import SAMPLE_RATE

IDLE_S = 1.0
ROUNDS = 1
"""Times that each is unloaded."""

LOOK_AGAIN_S = 0.02
LANGUAGE = "en"
TEXT = ABOUT_4_S[LANGUAGE][0]

_HEAD = (
    *("", "never loaded", "loaded", "unloaded", "left of it"),
    *("first request after it", "the next one"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One of the two: it is started, asked, and unloaded."""

    name: str
    subject: Unloadable
    start: Callable[[], Awaitable[None]]
    ask: Callable[[], Awaitable[None]]


def resident() -> int:
    """Return the resident bytes of this process and of its children."""
    own = psutil.Process()
    return sum(each.memory_info().rss for each in (own, *own.children(recursive=True)))


async def _unloaded(subject: Unloadable) -> None:
    # Nothing tells that a process has given its memory back.
    while subject.loaded or psutil.Process().children():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_AGAIN_S)


async def _timed(ask: Callable[[], Awaitable[None]]) -> float:
    begun = time.perf_counter()
    await ask()
    return time.perf_counter() - begun


async def _row(one: Measured) -> list[str]:
    never = resident()
    await one.start()
    await one.ask()
    loaded = resident()
    left, back_s, next_s = [], [], []
    for _ in range(ROUNDS):
        one.subject.unload_after(IDLE_S)
        await _unloaded(one.subject)
        left.append(resident())
        back_s.append(await _timed(one.ask))
        next_s.append(await _timed(one.ask))
    unloaded = int(median(left))
    return [
        *(one.name, mib(never), mib(loaded), mib(unloaded), mib(unloaded - never)),
        *(f"{median(back_s):.2f} s", f"{median(next_s):.2f} s"),
    ]


async def _kokoro(chosen: settings.Settings) -> tuple[list[str], Samples]:
    registry = CollectorRegistry()
    (engine,) = Builder(chosen, registry, restarts=Restarts(registry)).engines().required
    assert isinstance(engine, Unloadable)
    said: list[Samples] = []

    async def ask() -> None:
        said[:] = [await _speech(engine)]

    try:
        return await _row(Measured("Kokoro, a sentence", engine, engine.start, ask)), said[0]
    finally:
        await engine.stop()


async def _speech(engine: Engine) -> Samples:
    spoken = await single_engine.speak(engine, LANGUAGE, TEXT)
    return np.asarray(soxr.resample(spoken.samples, spoken.sample_rate, SAMPLE_RATE), np.float32)


async def _whisper(chosen: settings.Settings, said: Samples) -> list[str]:
    recognizer = Builder(chosen, restarts=Restarts(CollectorRegistry())).recognizer()
    assert isinstance(recognizer, Unloadable) and isinstance(recognizer, Transcriber)

    async def ask() -> None:
        async def audio() -> AsyncIterator[Samples]:
            yield said

        heard = recognizer.transcribe(audio(), TranscriptionOptions(language=LANGUAGE))
        assert [segment.text async for segment in heard]

    try:
        return await _row(Measured("Whisper, a recording of it", recognizer, recognizer.start, ask))
    finally:
        await recognizer.stop()


async def _both() -> list[list[str]]:
    chosen = settings.load({"engine": "kokoro", "recognizer": "whisper", "threads": single_engine.THREADS})
    kokoro, said = await _kokoro(chosen)
    return [kokoro, await _whisper(chosen, said)]


def memory() -> None:
    """Measure both."""
    print(table(_HEAD, asyncio.run(_both())) + "\n", flush=True)


PARTS = {"memory": memory}


if __name__ == "__main__":
    measure("server.idle_unload", __doc__, "Unloading while idle", PARTS)
