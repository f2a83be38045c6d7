"""The link to a child process that ends while nothing needs it, and is started again by the next request.

The process takes all memory of its model along, on the GPU too; freeing a model inside the server would leave
what its libraries keep.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import Coroutine
from typing import Literal, TypeVar

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.engines.remote.connection import Connection
from kani.engines.remote.link import UNAVAILABLE, Link
from kani.engines.remote.pool import Pool
from kani.runtime.cancelling import end_tasks

log = logging.getLogger(__name__)

State = Literal["unloaded", "loading", "loaded", "unloading"]
T = TypeVar("T")


class UnloadingLink:
    """Starts a process when it is needed. Without ``unload_after`` it stays, once it has started."""

    def __init__(self, name: str, link: Link) -> None:
        """name: of the engine, for the log; link: to its process, not started."""
        self._name = name
        self._link = link
        self._idle_s: float | None = None
        self._stopped = False
        self._uses = 0
        self._watching: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[bool] | None = None
        self._unloading: asyncio.Task[None] | None = None
        self.state: State = "unloaded"

    @property
    def loaded(self) -> bool:
        """True while the process runs, and has its model."""
        return self.state == "loaded"

    def unload_after(self, idle_s: float) -> None:
        """End the process after ``idle_s`` seconds without an exchange."""
        self._idle_s = idle_s
        self._stop_watching()
        if self.loaded:
            self._watch()

    async def start(self) -> None:
        """Start the process. Raises EngineUnavailable."""
        self.state, self._stopped = "loading", False
        try:
            await self._link.start()
        except BaseException:
            self.state = "unloaded"
            raise
        self._loaded()

    async def stop(self) -> None:
        self._stopped = True
        self._stop_watching()
        await end_tasks(self._loading)
        if self._unloading is not None:
            await asyncio.wait([self._unloading])
        await self._link.stop()
        self.state = "unloaded"

    async def connections(self) -> list[Connection]:
        """Return the connection; loads first what is unloaded, once for all that wait for it.

        Raises EngineFailed where it cannot be loaded.
        """
        self._uses += 1
        while not self.loaded:
            # A request that is cancelled must not cancel what others wait for.
            if self._unloading is not None:
                await asyncio.shield(self._unloading)
                continue
            if self._loading is None:
                if self._stopped:
                    break  # the link raises the reason
                self._loading = self._in_background(self._load())
            if not await asyncio.shield(self._loading):
                raise EngineFailed(UNAVAILABLE, logged=True)
        return await self._link.connections()

    async def _load(self) -> bool:
        """Start the process again; return False, with the reason in the log, if that fails."""
        began = time.monotonic()
        try:
            await self.start()
        except EngineUnavailable as error:
            log.error("%s cannot be loaded again: %s", self._name, error)
            return False
        finally:
            self._loading = None
        log.info("%s is loaded again, after %.1f s", self._name, time.monotonic() - began)
        return True

    def _loaded(self) -> None:
        self.state = "loaded"
        if self._idle_s is not None:
            self._watch()

    def _watch(self) -> None:
        self._watching = self._in_background(self._unload_when_idle())

    def _stop_watching(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()

    async def _unload_when_idle(self) -> None:
        assert self._idle_s is not None
        while True:
            connection = self._link.usable
            if connection is not None:
                await connection.idle.wait()
            uses = self._uses
            await asyncio.sleep(self._idle_s)
            connection = self._link.usable
            if uses == self._uses and connection is not None and connection.idle.is_set():
                break
        # No other task runs between the check and the change of state, so no exchange begins meanwhile.
        self.state = "unloading"
        self._unloading = self._in_background(self._unload())

    async def _unload(self) -> None:
        assert self._idle_s is not None
        idle_s = self._idle_s
        try:
            await self._link.stop()
        finally:
            self.state = "unloaded"
            self._unloading = None
        log.info("%s is unloaded, after %g s without a request", self._name, idle_s)

    def _in_background(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        # In an empty context, so that its log carries no request's id.
        return asyncio.create_task(work, name=self._name, context=contextvars.Context())


class ByWorkers:
    """Workers of a remote engine or a remote recogniser: the part that both share."""

    _workers: Pool | Link | UnloadingLink

    def use(self, workers: Pool | Link | UnloadingLink) -> None:
        """Work by ``workers``, one or several of the same engine, which pass descriptions to ``changed``."""
        self._workers = workers

    async def stop(self) -> None:
        """End the connections; a worker that is a child ends."""
        await self._workers.stop()

    @property
    def loaded(self) -> bool:
        """See ``Unloadable.loaded``; True of workers that listen."""
        return not isinstance(self._workers, UnloadingLink) or self._workers.loaded

    def unload_after(self, idle_s: float) -> None:
        """See ``Unloadable.unload_after``; workers that listen stay."""
        if isinstance(self._workers, UnloadingLink):
            self._workers.unload_after(idle_s)
