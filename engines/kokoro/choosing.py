"""Which decoder speaks: the published graph's at once, the fast one as soon as it has been loaded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from engines.kokoro.decoder import Decoder
from engines.kokoro.model import Stop, Stopped
from speech.errors import EngineUnavailable

Choice = Literal["auto", "onnx", "fast"]
"""``onnx``: the published graph on onnxruntime; ``auto``: that until the fast decoder is loaded, and for good
where this machine is not fit for it; ``fast``: the fast decoder or none."""

logger = logging.getLogger(__name__)


def load_fast(part: Callable[[str], bytes], cache_dir: Path, cores: int) -> Decoder:
    """The fast decoder, warm; blocks for seconds, and imports torch and Numba.

    part: gives a part of the graph by its name; cache_dir: where packed weights are kept; cores: that all
    calls together may use. Raises EngineUnavailable, with the reason alone, where this machine is not fit for
    it, and what ``part`` raises.
    """
    from engines.kokoro.fast.libraries import loading_gently

    with loading_gently():
        from engines.kokoro.fast.loading import Unfit, load

        try:
            return load(part, cache_dir, cores)
        except Unfit as unfit:
            raise EngineUnavailable(str(unfit)) from unfit


class FastLoader:
    """Loads the fast decoder once, in a thread of its own."""

    def __init__(
        self,
        load: Callable[[Callable[[str], bytes]], Decoder],
        part: Callable[[str], bytes],
        use: Callable[[Decoder], None],
    ) -> None:
        """load, part: as ``load_fast``; use: told in that thread who speaks from now on."""
        self._load = load
        self._part = part
        self._use = use
        self._stop = Stop()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kokoro-decoder")

    async def load(self) -> None:
        """Return once it speaks. Raises EngineUnavailable with the reason and the cure."""
        try:
            await asyncio.wrap_future(self._pool.submit(self._loaded))
        except EngineUnavailable as error:
            raise EngineUnavailable(
                f"Kokoro's fast decoder cannot speak here ({error}): set KANI_KOKORO_DECODER=auto"
            ) from error

    def load_behind(self) -> None:
        """Return at once; the log tells whether it speaks, or why it does not."""
        self._pool.submit(self._loaded).add_done_callback(_told)

    async def settled(self) -> None:
        """Return once it speaks, or never will: nothing is loaded any more."""
        # The pool has one thread: what comes after the loading runs when that is done.
        await asyncio.wrap_future(self._pool.submit(lambda: None))

    async def stop(self) -> None:
        """Return once nothing of it is under way: it is given up when the next part is asked for."""
        self._stop.set()
        await asyncio.to_thread(self._pool.shutdown)

    def _loaded(self) -> None:
        begun = time.monotonic()
        self._use(self._load(self._wanted))
        logger.info("Kokoro speaks by the fast decoder, loaded in %.1f s", time.monotonic() - begun)

    def _wanted(self, name: str) -> bytes:
        """A part. Raises Stopped if nobody waits for it any more."""
        if self._stop.is_set:
            raise Stopped
        return self._part(name)


def _told(job: Future[None]) -> None:
    error = job.exception()
    if isinstance(error, EngineUnavailable):
        logger.info("Kokoro speaks by onnxruntime: %s", error)
    elif error is not None and not isinstance(error, Stopped):
        logger.error("Kokoro speaks by onnxruntime: its fast decoder failed to load", exc_info=error)
