"""The link to one worker: reaches it, notices its end, and reaches it again after growing pauses."""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.engines.remote.connection import Connection, WorkerLost
from kani.engines.remote.connectors import ChildWorker, RemoteWorker
from kani.runtime.cancelling import end_tasks

log = logging.getLogger(__name__)

FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 10.0
"""Pauses before a worker is reached again: each is twice the one before it, until a worker is of use."""

MAX_WAIT_S = 30.0
"""Longest wait of a segment for a worker that is being reached again."""


UNAVAILABLE = "the engine is being started again"
"""Message for clients, which are not to learn where it runs; the log has the rest."""


@dataclass(eq=False)
class Link:
    """Holds the connection to one worker."""

    _connector: ChildWorker | RemoteWorker
    moved: Callable[[], None] = lambda: None  # called whenever the connection has ended, or is there
    restarted: Callable[[], None] = lambda: None  # called when it is there again
    _connection: Connection | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0
    reason: str = ""  # reason for which the latest attempt to reach the worker has failed
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reach the worker. Raises EngineUnavailable."""
        try:
            self._connection = await self._connector.connect()
        except (WorkerLost, OSError) as error:
            reason = f"{self._connector.name} cannot be reached: {error}"
            raise EngineUnavailable(reason, passing=True) from error
        self._run(self._connection)

    def start_later(self) -> None:
        """Reach the worker in the background, as often as it takes."""
        self._run(None)

    def _run(self, connection: Connection | None) -> None:
        # Runs in an empty context, so that its logs carry no request's id.
        self._task = asyncio.create_task(
            self._keep(connection), name=self._connector.name, context=contextvars.Context()
        )

    async def stop(self, *, finish: bool = False) -> None:
        """End the connection, and the worker if it is a child; finish: once no exchange is under way."""
        task, self._task = self._task, None
        await end_tasks(task)
        connection = self._connection
        try:
            if finish and connection is not None:
                await connection.idle.wait()
        finally:
            self._connection = None
            self._change()
            if connection is not None:
                await self._connector.disconnect(connection)

    @property
    def usable(self) -> Connection | None:
        connection = self._connection
        if connection is None or connection.channel.lost.is_set() or connection.draining:
            return None
        return connection

    async def connections(self) -> list[Connection]:
        """Return the connection, which accepts exchanges; waits while it is renewed.

        Raises EngineFailed after ``MAX_WAIT_S``, or as soon as a new worker reports that it cannot start.
        """
        failures = self._failures
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                while (connection := self.usable) is None:
                    if self._task is None or self._failures > failures:
                        raise EngineFailed(UNAVAILABLE, logged=True)
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise EngineFailed(UNAVAILABLE, logged=True) from None
        return [connection]

    async def _keep(self, connection: Connection | None) -> None:
        pause_s = FIRST_PAUSE_S if connection is not None else 0.0
        while True:
            lost = connection
            if lost is not None:
                await lost.channel.lost.wait()
                if lost.completed:
                    pause_s = FIRST_PAUSE_S
                self._change()
                await self._connector.disconnect(lost)
                log.warning("%s was lost: %s", self._connector.name, lost.channel.reason)
            connection, pause_s = await self._renew(pause_s)
            self._connection = connection
            self._change()
            if lost is not None:
                self.restarted()
            log.info("%s is there%s", self._connector.name, " again" if lost is not None else "")

    async def _renew(self, pause_s: float) -> tuple[Connection, float]:
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(max(FIRST_PAUSE_S, 2 * pause_s), MAX_PAUSE_S)
            try:
                return await self._connector.connect(), pause_s
            except (EngineUnavailable, WorkerLost, OSError) as error:
                name = self._connector.name
                log.error("%s cannot be reached, next attempt in %g s: %s", name, pause_s, error)
                self.reason = f"{name} cannot be reached: {error}"
                self._failures += isinstance(error, EngineUnavailable)
                self._change()

    def _change(self) -> None:
        """Wake all that wait; each looks for itself."""
        self._changed.set()
        self.moved()
