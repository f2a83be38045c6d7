"""Generators that a program may leave at any time, and iterables that it gives."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar, cast
from weakref import WeakSet

from kani.library.arguments import check
from kani.runtime.cancelling import in_thread

T = TypeVar("T")
P = ParamSpec("P")


class GivesStreams:
    """Closes at its end the generators of ``closed_at_the_end`` that were not read to theirs.

    Each holds a session, and the end of a service waits for all sessions.
    """

    @cached_property
    def _streams(self) -> WeakSet[AsyncGenerator[Any, None]]:
        return WeakSet()

    async def _close_streams(self) -> None:
        for stream in [*self._streams]:
            with suppress(RuntimeError):  # it is being read: the end of the service reaches its reader
                await stream.aclose()


def closed_at_the_end(method: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, AsyncGenerator[T, None]]:
    """Have the generators of a method of ``GivesStreams`` closed."""

    @wraps(method)
    def given(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        stream = method(*args, **kwargs)
        cast(GivesStreams, args[0])._streams.add(stream)
        return stream

    return given


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Do ``work`` while the body runs, and to its end after it; cancel it where the body fails."""
    task = asyncio.create_task(work)
    try:
        yield task
        await task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def items_of(source: Iterable[T] | AsyncIterable[T], name: str) -> AsyncIterator[T]:
    """Yield the parts of an argument; what blocks is read in threads: a language model may write it."""
    check(name, source, (Iterable, AsyncIterable), "an iterable")
    if isinstance(source, AsyncIterable):
        async for item in source:
            yield item
    else:
        iterator = iter(source)
        end: Any = object()
        while (item := await asyncio.wrap_future(in_thread(lambda: next(iterator, end)))) is not end:
            yield item
