"""Which decoder speaks: the published graph's at once, the fast one as soon as it has been loaded."""

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
from engines.kokoro.int8.libraries import Pause, gentle_imports
from engines.kokoro.network.decoder import Decoder
from engines.kokoro.network.onnx_model import Stop, Stopped
from engines.kokoro.scheduler import IdleMonitor
from speech.errors import EngineUnavailable

DecoderChoice = Literal["auto", "onnx", "fast"]
"""``onnx``: the published graph on onnxruntime; ``auto``: that until the fast decoder is loaded, and for good
where this machine is not fit for it; ``fast``: the fast decoder or none."""

logger = logging.getLogger(__name__)


# Seconds for which nothing was computed before a step of the loading may begin behind the speech; and
# for how long all steps together wait for that. A server that speaks without a break needs the fast
# decoder most of all.
_IDLE_S = 0.2
_PATIENCE_S = 60.0


def load_int8_decoder(
    part: Callable[[str], bytes], cache_dir: Path, cores: int, pause: Pause | None = None
) -> Decoder:
    """The fast decoder, warm; blocks for seconds, and imports torch and Numba.

    part: gives a part of the graph by its name; cache_dir: where packed weights and compiled kernels are
    kept; cores: that all calls together may use; pause: called between the steps. Raises EngineUnavailable,
    with the reason alone, where this machine is not fit for it, and what ``part`` raises.
    """
    with gentle_imports(pause):
        from engines.kokoro.int8.loader import DecoderUnavailable, load_decoder

        try:
            return load_decoder(part, cache_dir, cores)
        except DecoderUnavailable as unfit:
            raise EngineUnavailable(str(unfit)) from unfit


class Int8DecoderLoader:
    """Loads the fast decoder once, in a thread of its own."""

    def __init__(
        self,
        load: Callable[[Callable[[str], bytes], Path, Pause | None], Decoder],
        part: Callable[[str], bytes],
        use: Callable[[Decoder], None],
        preparation: DecoderBuild,
    ) -> None:
        """load, part: as ``load_fast``; use: called in that thread with the decoder that speaks from now on;
        preparation: of the folder that it is loaded from.
        """
        self._load = load
        self._part = part
        self._use = use
        self._preparation = preparation
        self._stop = Stop()
        self._idle: IdleMonitor | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kokoro-decoder")

    def preload_libraries(self) -> None:
        """Begin with the imports, which take most of the loading's time, where all is prepared."""
        if self._preparation.is_done:
            self._pool.submit(self._imported)

    @property
    def needs_build(self) -> bool:
        """Whether it has to be prepared (20 s) before it is loaded (2 s)."""
        return self._preparation.is_needed

    async def load_required(self) -> None:
        """Return once it speaks. Raises EngineUnavailable with the reason and the cure."""
        error = await self._failure()
        if isinstance(error, EngineUnavailable):
            raise EngineUnavailable(
                f"Kokoro's fast decoder cannot speak here ({error}): set KANI_KOKORO_DECODER=auto"
            ) from error
        if error is not None:
            raise error

    async def load_if_supported(self) -> None:
        """Return once it speaks, or never will; the log tells which, and why."""
        _tell(await self._failure())

    def load_in_background(self, idle: IdleMonitor) -> None:
        """Return at once; the log tells whether it speaks, or why it does not.

        It is prepared with the processor time that nothing else asks for, and loaded a step at a time while
        nothing is computed.
        """
        self._idle = idle
        self._pool.submit(self._loaded, idle).add_done_callback(lambda job: _tell(job.exception()))

    async def wait_finished(self) -> None:
        """Return once it speaks, or never will: nothing is loaded any more."""
        # The pool has one thread: what comes after the loading runs when that is done.
        await asyncio.wrap_future(self._pool.submit(lambda: None))

    async def stop(self) -> None:
        """Return once nothing of it is under way: a preparation is ended, a step of the loading awaited."""
        self._give_up()
        await asyncio.to_thread(self._pool.shutdown)

    async def _failure(self) -> BaseException | None:
        """Load it: what that failed at."""
        job = asyncio.wrap_future(self._pool.submit(self._loaded, None))
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError:
            self._give_up()
            raise
        return job.exception()

    def _give_up(self) -> None:
        self._stop.set()
        self._preparation.stop()
        if self._idle is not None:
            self._idle.release_waiters()

    def _loaded(self, idle: IdleMonitor | None) -> None:
        begun = time.monotonic()
        try:
            self._preparation.run(self._wanted, low_priority=idle is not None)
            pause = None if idle is None else _pausing(idle)
            self._use(self._load(self._wanted, self._preparation.folder, pause))
        finally:
            self._preparation.close()
        logger.info("Kokoro speaks by the fast decoder, loaded in %.1f s", time.monotonic() - begun)

    def _imported(self) -> None:
        with gentle_imports():
            from engines.kokoro.int8.loader import DecoderUnavailable, import_libraries

            # What cannot be imported is named when it is loaded.
            with suppress(DecoderUnavailable):
                import_libraries(self._preparation.folder)

    def _wanted(self, name: str) -> bytes:
        """A part. Raises Stopped if nothing waits for it any more."""
        if self._stop.is_set:
            raise Stopped
        return self._part(name)


def _pausing(idle: IdleMonitor) -> Pause:
    """Waits for ``idle``, and for ``_PATIENCE_S`` in all."""
    left_s = _PATIENCE_S

    def pause() -> None:
        nonlocal left_s
        begun = time.monotonic()
        idle.wait(_IDLE_S, max(0.0, left_s))
        left_s -= time.monotonic() - begun

    return pause


def _tell(error: BaseException | None) -> None:
    if isinstance(error, EngineUnavailable):
        logger.info("Kokoro speaks by onnxruntime: %s", error)
    elif error is not None and not isinstance(error, Stopped):
        logger.error("Kokoro speaks by onnxruntime: its fast decoder failed to load", exc_info=error)
