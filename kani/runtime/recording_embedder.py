"""Embeddings of recordings, computed by an engine's own network at a lower priority than speech."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from kani.core.audio.resampling import Resampler
from kani.core.errors import EngineFailed, NoSpeech
from kani.core.types import Recording, Samples
from kani.runtime.cancelling import wait_until_done

_QUIETEST_DB = -65.0
_NICENESS = 10

logger = logging.getLogger(__name__)

Compute = Callable[[Recording, Callable[[], bool]], Samples]
"""Returns the embedding of a recording; empty once the function that it is given returns true."""


class RecordingEmbedder:
    """Computes one embedding after the other, in a thread with a lower priority than speech."""

    def __init__(self, engine: str) -> None:
        """engine: its name in messages."""
        self._engine = engine
        self._stopping = threading.Event()
        # One recording at a time: each takes all the cores that speech leaves.
        self.pool = ThreadPoolExecutor(
            1, thread_name_prefix=f"{engine.lower()}-embedder", initializer=_lower_priority
        )

    async def embed(self, recording: Recording, compute: Compute) -> Samples:
        """Return what ``compute`` returns; cancelled, only once the thread is free of it.

        Raises EngineFailed, and whatever else than a RuntimeError ``compute`` raises.
        """
        stop = threading.Event()

        def stopped() -> bool:
            return stop.is_set() or self._stopping.is_set()

        try:
            job = self.pool.submit(compute, recording, stopped)
        except RuntimeError as error:
            raise self._stopped() from error
        work = asyncio.wrap_future(job)
        try:
            values = await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            # If still queued after another recording, there is nothing to wait for.
            if not job.cancel():
                with suppress(asyncio.CancelledError):
                    await wait_until_done(work)
            raise
        except RuntimeError as error:
            logger.exception("a recording could not be embedded")
            message = f"the {self._engine} engine could not embed the recording"
            raise EngineFailed(message, logged=True) from error
        if not len(values):
            raise self._stopped()
        return values

    async def stop(self) -> None:
        """Stop the computation under way, and end the thread."""
        self._stopping.set()
        await asyncio.to_thread(self.pool.shutdown)

    def _stopped(self) -> EngineFailed:
        return EngineFailed(f"the {self._engine} engine has been stopped")


def speech_of(recording: Recording, max_s: float, sample_rate: int) -> Samples:
    """Return the first ``max_s`` seconds of a recording at ``sample_rate`` hertz.

    Raises InvalidRequest for ``reference`` if they are silent.
    """
    samples = recording.samples[: round(max_s * recording.sample_rate)]
    loudness = float(samples.std(dtype=np.float64)) if len(samples) else 0.0
    if not loudness > 10 ** (_QUIETEST_DB / 20):
        raise NoSpeech()
    resampler = Resampler(recording.sample_rate, sample_rate)
    return np.concatenate((resampler.feed(samples), resampler.finish()))


def _lower_priority() -> None:
    """Lower the thread's priority below that of speech: on Linux each thread has a niceness of its own."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Never raise it: that needs privileges.
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
