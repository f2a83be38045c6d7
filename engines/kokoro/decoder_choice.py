"""Decoder selection: the published graph at first, the int8 decoder as soon as it is loaded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

from engines.kokoro.decoder_build import DecoderBuild
from engines.kokoro.int8.loader import Pause, gentle_imports, import_libraries, load_decoder
from engines.kokoro.network.decoder import Decoder, DecoderUnavailable
from engines.kokoro.network.onnx_model import Stop, Stopped
from engines.kokoro.network.parts import LoadPart
from engines.kokoro.scheduler import IdleMonitor
from speech.errors import EngineUnavailable

DecoderChoice = Literal["auto", "onnx", "fast", "litert"]
"""``onnx``: the published graph on onnxruntime; ``fast``: the int8 decoder, or no start; ``litert``: the int8
decoder on LiteRT, or no start; ``auto``: ``onnx``
until the int8 decoder is loaded, and for good where this machine does not support it."""

logger = logging.getLogger(__name__)

# Seconds without a decoding step before a loading step may begin in the background, and the longest total
# time that all loading steps wait for such gaps: a server that never pauses needs the int8 decoder most.
_IDLE_S = 0.2
_MAX_WAIT_S = 60.0


def load_int8_decoder(
    load_part: LoadPart, cache_dir: Path, cores: int, pause: Pause | None = None
) -> Decoder:
    """Load the int8 decoder; blocks for seconds, and imports torch and Numba.

    cache_dir: where packed weights and compiled kernels are kept; cores: for all windows together; pause:
    called between the steps of loading. Raises EngineUnavailable, with the reason alone, where this machine
    does not support the decoder, and what ``load_part`` raises.
    """
    with gentle_imports(pause):
        try:
            return load_decoder(load_part, cache_dir, cores)
        except DecoderUnavailable as unavailable:
            raise EngineUnavailable(str(unavailable)) from unavailable


class Int8DecoderLoader:
    """Loads the int8 decoder once, in a thread of its own."""

    def __init__(
        self,
        load: Callable[[LoadPart, Path, Pause | None], Decoder],
        load_part: LoadPart,
        use: Callable[[Decoder], None],
        build: DecoderBuild,
        unavailable: Callable[[str], None],
    ) -> None:
        """load: as ``load_int8_decoder``; use: called in the loading thread with the loaded decoder;
        build: fills the cache folder that the decoder is loaded from; unavailable: called with the reason
        where the decoder cannot be loaded.
        """
        self._load = load
        self._load_part = load_part
        self._use = use
        self._build = build
        self._unavailable = unavailable
        self._stop = Stop()
        self._idle: IdleMonitor | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kokoro-decoder")

    def preload_libraries(self) -> None:
        """Begin with the imports, which take most of the loading time, if the cache is complete."""
        if self._build.is_done:
            self._pool.submit(self._import_libraries)

    @property
    def needs_build(self) -> bool:
        """True if the cache has to be built (20 s) before loading (2 s)."""
        return self._build.is_needed

    async def load_required(self) -> None:
        """Return once the decoder is loaded. Raises EngineUnavailable with the reason and the remedy."""
        error = await self._run()
        if isinstance(error, EngineUnavailable):
            raise EngineUnavailable(
                f"Kokoro's fast decoder is unavailable ({error}): set KANI_KOKORO_DECODER=auto"
            ) from error
        if error is not None:
            raise error

    async def load_if_supported(self) -> None:
        """Return once loading has succeeded or failed; the result is logged."""
        self._report(await self._run())

    def load_in_background(self, idle: IdleMonitor) -> None:
        """Start loading and return; the result is logged.

        The cache is built at idle priority, and the decoder is loaded step by step while no synthesis runs.
        """
        self._idle = idle
        self._pool.submit(self._build_and_load, idle).add_done_callback(
            lambda job: self._report(job.exception())
        )

    async def wait_finished(self) -> None:
        """Return once loading has ended, with or without success."""
        # The pool has one thread: this job runs after the loading.
        await asyncio.wrap_future(self._pool.submit(lambda: None))

    async def stop(self) -> None:
        """Cancel loading and return once the thread has ended; a running build is killed."""
        self._cancel()
        await asyncio.to_thread(self._pool.shutdown)

    async def _run(self) -> BaseException | None:
        """Load the decoder; returns the error, if any."""
        job = asyncio.wrap_future(self._pool.submit(self._build_and_load, None))
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError:
            self._cancel()
            raise
        return job.exception()

    def _report(self, error: BaseException | None) -> None:
        """Log an error of loading and give its reason to the engine."""
        if isinstance(error, EngineUnavailable):
            logger.info("Kokoro decoder: onnxruntime; the fast decoder is unavailable: %s", error)
            self._unavailable(f"the fast one is unavailable: {error}")
        elif error is not None and not isinstance(error, Stopped):
            logger.error("Kokoro decoder: onnxruntime; loading the fast decoder failed", exc_info=error)
            self._unavailable("loading the fast one failed (see the log)")

    def _cancel(self) -> None:
        self._stop.set()
        self._build.stop()
        if self._idle is not None:
            self._idle.release_waiters()

    def _build_and_load(self, idle: IdleMonitor | None) -> None:
        begun = time.monotonic()
        try:
            self._build.run(self._load_part_unless_stopped, low_priority=idle is not None)
            pause = None if idle is None else _pause_until_idle(idle)
            self._use(self._load(self._load_part_unless_stopped, self._build.folder, pause))
        finally:
            self._build.close()
        logger.info("Kokoro decoder: fast (int8), loaded in %.1f s", time.monotonic() - begun)

    def _import_libraries(self) -> None:
        # An import that fails is reported when the decoder is loaded.
        with gentle_imports(), suppress(DecoderUnavailable):
            import_libraries(self._build.folder)

    def _load_part_unless_stopped(self, name: str) -> bytes:
        """Load a part of the graph. Raises Stopped once loading is cancelled."""
        if self._stop.is_set:
            raise Stopped
        return self._load_part(name)


def _pause_until_idle(idle: IdleMonitor) -> Pause:
    """Make a pause that waits for idle time, for ``_MAX_WAIT_S`` over all of its calls."""
    left_s = _MAX_WAIT_S

    def pause() -> None:
        nonlocal left_s
        begun = time.monotonic()
        idle.wait(_IDLE_S, max(0.0, left_s))
        left_s -= time.monotonic() - begun

    return pause
