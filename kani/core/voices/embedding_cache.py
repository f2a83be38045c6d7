"""Cache of embeddings: concurrent requests for one recording share one computation."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kani.core.errors import Busy
from kani.core.types import Embedding

log = logging.getLogger(__name__)

MAX_CACHED = 1024
MAX_CACHED_VALUES = 1 << 22
"""Embeddings kept in memory, and their values in all: 16 MiB."""

MAX_PENDING = 32
"""Embeddings being made or waiting to be: each may hold a minute of sound."""

Key = tuple[str, str]
"""Key of a recording or stored voice, and the name of the embedding model."""


@dataclass(slots=True)
class _Pending:
    """An embedding being made."""

    task: asyncio.Task[Embedding]
    waiting: int = 0  # number of callers waiting for it
    forgotten: bool = False  # its result must not be cached


class EmbeddingCache:
    """The most recently used embeddings, and those being made.

    max_concurrent: how many are made at a time; the others wait.
    """

    def __init__(self, max_concurrent: int) -> None:
        self._limit = asyncio.Semaphore(max_concurrent)
        self._cached: OrderedDict[Key, Embedding] = OrderedDict()
        self._values = 0
        self._pending: dict[Key, _Pending] = {}

    async def get(self, key: Key, make: Callable[[], Awaitable[Embedding]]) -> Embedding:
        """The embedding of ``key``, made by ``make`` unless it is cached or being made.

        The computation is cancelled once its last caller is cancelled. Raises what ``make`` raises, and Busy
        while ``MAX_PENDING`` embeddings are being made.
        """
        if key in self._cached:
            self._cached.move_to_end(key)
            return self._cached[key]
        pending = self._pending.get(key)
        if pending is None:
            if len(self._pending) >= MAX_PENDING:
                raise Busy("too many recordings are being embedded: try again later")
            task = asyncio.create_task(self._made(make), name="embedding")
            pending = self._pending[key] = _Pending(task)
        pending.waiting += 1
        try:
            embedding = await asyncio.shield(pending.task)
            if not pending.forgotten:
                self.put(key, embedding)
            return embedding
        finally:
            pending.waiting -= 1
            if not pending.waiting:
                if self._pending.get(key) is pending:
                    del self._pending[key]
                await _cancelled(pending.task)

    def cached(self, key: Key) -> Embedding | None:
        return self._cached.get(key)

    def put(self, key: Key, embedding: Embedding) -> None:
        """Cache an embedding; the least recently used one is dropped."""
        self._drop(key)
        self._cached[key] = embedding
        self._values += len(embedding.values)
        while len(self._cached) > MAX_CACHED or self._values > MAX_CACHED_VALUES:
            self._drop(next(iter(self._cached)))

    def _drop(self, key: Key) -> None:
        if (dropped := self._cached.pop(key, None)) is not None:
            self._values -= len(dropped.values)

    def forget(self, prefix: str) -> None:
        """Drop all embeddings of keys that begin with ``prefix``; callers already waiting get theirs."""
        for key in [key for key in self._cached if key[0].startswith(prefix)]:
            self._drop(key)
        for key in [key for key in self._pending if key[0].startswith(prefix)]:
            self._pending.pop(key).forgotten = True

    async def stop(self) -> None:
        """Cancel all computations and clear the cache."""
        for pending in list(self._pending.values()):
            pending.forgotten = True
            await _cancelled(pending.task)
        self._cached.clear()
        self._values = 0

    async def _made(self, make: Callable[[], Awaitable[Embedding]]) -> Embedding:
        async with self._limit:
            return await make()


async def _cancelled(task: asyncio.Task[Embedding]) -> None:
    """Cancel a task without waiters and return once it has ended."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("an embedding failed after its callers were cancelled: %s", error)
