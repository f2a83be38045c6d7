"""Cost of a second of speech on this machine, measured between the steps of listeners."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from kani.core.errors import EngineFailed
from kani.engines.kokoro.checkpoints.loading import Checkpoints
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.scheduler import DeadlineScheduler
from kani.engines.kokoro.synthesizer import NetworkSynthesizer, WindowedSynthesizer, sample_steps

STREAMS_SHARE = 0.8
"""Fraction of the cores planned for streams; the rest is for sockets, text and predictions that come
together, which the measured sample does not include."""

LEAST_STREAMS = 2
"""Minimum of streams at once, so that a short answer never waits for a long text (both may stutter)."""

LATE_COST = 0.3
"""Processor seconds for a second of audio from which on sentences begin late. Where they are 0.11 (VNNI), the
first sound comes after 65 to 112 ms; where they are 0.55 (AVX2), after 239 to 306 ms."""

# Seconds without a step before a sample is spoken, and the longest wait for them.
_IDLE_S, _MAX_IDLE_WAIT_S = 0.2, 60.0

# Pauses before the cost is measured again: one minute, ten and an hour after the start.
_MEASURED_AGAIN_S = (60.0, 540.0, 3000.0)

RunStep = Callable[[Callable[[], Any], Stop, AbstractAsyncContextManager[None]], Awaitable[Any]]
"""Runs a step in the engine's threads while holding a slot, and returns what the step returns."""

logger = logging.getLogger(__name__)


def real_time_streams(cost: float, cores: int) -> int:
    """Number of streams that ``cores`` synthesize while they are played, at least ``LEAST_STREAMS``.

    cost: processor seconds for a second of audio.
    """
    return max(LEAST_STREAMS, int(STREAMS_SHARE * cores / cost))


@dataclass(eq=False)
class SpeechCost:
    """Measures once the engine has started, and now and then in the hour after it."""

    _scheduler: DeadlineScheduler
    _run_step: RunStep
    _streams: int  # samples spoken at once
    _report: Callable[[float, float], None]
    """Called with the processor seconds for a second of audio, Kokoro's and those of the most expensive
    checkpoint, whenever one of them is better known."""
    _cost: float = math.inf
    _checkpoint_cost: float = 0.0
    _measuring: asyncio.Task[None] | None = None
    _measuring_again: asyncio.Task[None] | None = None

    def start(self, synthesizer: WindowedSynthesizer, checkpoints: Checkpoints) -> None:
        """Measure in the background, the checkpoints as well."""
        self._measuring = asyncio.create_task(self._measure(synthesizer, checkpoints))

    async def stop(self) -> None:
        for task in (self._measuring, self._measuring_again):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, EngineFailed):
                    await task

    async def _measure(self, synthesizer: WindowedSynthesizer, checkpoints: Checkpoints) -> None:
        """Measure this machine's speed.

        How long a sentence's prosody takes decides on steps (``windows``), what a second of audio costs on
        the number of slots.
        """
        stop = Stop()
        # The first run also allocates the memory that later ones use again.
        for _ in range(2):
            step = partial(next, sample_steps(synthesizer, stop))
            await self._run_step(step, stop, self._scheduler.slot())
        logger.debug("Kokoro's prosody takes %.1f ms a symbol", 1000 * synthesizer.speed.symbol_s)
        # The lesser one: what else the process computes meanwhile is counted too.
        self._cost = min([await self._sample(synthesizer) for _ in range(2)])
        self._report(self._cost, self._checkpoint_cost)
        for checkpoint in checkpoints.all:
            costs = [await self._sample(checkpoint.synthesizer) for _ in range(2)]
            self._checkpoint_cost = max(self._checkpoint_cost, min(costs))
            self._report(self._cost, self._checkpoint_cost)
        self._measuring_again = asyncio.create_task(self._measure_again(synthesizer))

    async def _measure_again(self, synthesizer: WindowedSynthesizer) -> None:
        """Measure the cost again later: beside other processes that start, a sample takes twice as much."""
        for pause_s in _MEASURED_AGAIN_S:
            await asyncio.sleep(pause_s)
            again = await self._sample(synthesizer)
            if again < self._cost:
                self._cost = again
                self._report(self._cost, self._checkpoint_cost)

    async def _sample(self, synthesizer: NetworkSynthesizer) -> float:
        """Processor seconds of this process for a second of audio while all cores speak a sample.

        Waits until no step has run for ``_IDLE_S`` seconds, ``_MAX_IDLE_WAIT_S`` at most.
        """
        await self._scheduler.idle.wait(_IDLE_S, _MAX_IDLE_WAIT_S)
        begun_s = time.process_time()
        audio_s = sum(await asyncio.gather(*(self._speak(synthesizer) for _ in range(self._streams))))
        return (time.process_time() - begun_s) / audio_s

    async def _speak(self, synthesizer: NetworkSynthesizer) -> float:
        """Speak a sample; returns its seconds of audio."""
        stop, audio_s = Stop(), 0.0
        step = partial(next, sample_steps(synthesizer, stop), None)
        with self._scheduler.stream() as stream:
            while (made_s := await self._run_step(step, stop, stream.slot())) is not None:
                audio_s += made_s
        return audio_s
