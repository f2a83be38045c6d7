"""Embeddings of recordings: each made once, by whoever asks first, and kept for those who ask later."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from speech.errors import Busy
from speech.types import Embedding

log = logging.getLogger(__name__)

MAX_CACHED = 1024
"""How many embeddings stay in memory, each of at most 16 KiB."""

MAX_PENDING = 32
"""How many are made or wait to be: each may hold a minute of sound."""

Key = tuple[str, str]
"""What sounds so, and the model that puts it in numbers."""


@dataclass(slots=True)
class _Making:
    """An embedding on its way: how many wait for it, and whether nobody is to find it afterwards."""

    task: asyncio.Task[Embedding]
    waiting: int = 0
    forgotten: bool = False


class EmbeddingCache:
    """The embeddings that were asked for last, and those that are being made.

    at_once: how many are made at a time; the others wait.
    """

    def __init__(self, at_once: int) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._known: OrderedDict[Key, Embedding] = OrderedDict()
        self._making: dict[Key, _Making] = {}

    async def get(self, key: Key, make: Callable[[], Awaitable[Embedding]]) -> Embedding:
        """The embedding of that key, made by ``make`` if nobody made it yet.

        It is given up once nobody waits for it any more. Raises what ``make`` raises, and Busy where too many
        are made already.
        """
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        making = self._making.get(key)
        if making is None:
            if len(self._making) >= MAX_PENDING:
                raise Busy("too many recordings are being taken up: try again later")
            task = asyncio.create_task(self._made(make), name="embedding")
            making = self._making[key] = _Making(task)
        making.waiting += 1
        try:
            embedding = await asyncio.shield(making.task)
            if not making.forgotten:
                self.put(key, embedding)
            return embedding
        finally:
            making.waiting -= 1
            if not making.waiting:
                if self._making.get(key) is making:
                    del self._making[key]
                await _ended(making.task)

    def cached(self, key: Key) -> Embedding | None:
        """The embedding of that key, if it is at hand."""
        return self._known.get(key)

    def put(self, key: Key, embedding: Embedding) -> None:
        """Have it from now on; the one that was not asked for longest is forgotten."""
        self._known[key] = embedding
        self._known.move_to_end(key)
        while len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)

    def forget(self, sounds: str) -> None:
        """Have none any more of what is called so, or begins so; those that wait still get theirs."""
        for key in [key for key in self._known if key[0].startswith(sounds)]:
            del self._known[key]
        for key in [key for key in self._making if key[0].startswith(sounds)]:
            self._making.pop(key).forgotten = True

    async def stop(self) -> None:
        """Make none any more, and have none."""
        for making in list(self._making.values()):
            making.forgotten = True
            await _ended(making.task)
        self._known.clear()

    async def _made(self, make: Callable[[], Awaitable[Embedding]]) -> Embedding:
        async with self._turn:
            return await make()


async def _ended(task: asyncio.Task[Embedding]) -> None:
    """Stop a task that nobody waits for, and see it end."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("an embedding was not made: %s", error)
