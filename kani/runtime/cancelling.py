"""Waits until cancelled work has ended: only then is its engine free.

An interruption reaches an engine in four steps. ``SpeechSession.cancel`` cancels the session's worker; that
closes the engine's generator at the ``await`` it stands at; the generator tells its thread or process to stop
at the next step of the model; and with ``wait_until_done`` it returns once the thread is free, so that
another session can have the slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol, TypeVar, cast

from kani.core.types import Samples

_Utterance_contra = TypeVar("_Utterance_contra", contravariant=True)
_Stream = TypeVar("_Stream")
_End_co = TypeVar("_End_co", covariant=True)


async def wait_until_done(work: asyncio.Future[Any]) -> None:
    """Return once ``work`` has ended, however often the waiting task is cancelled meanwhile.

    Raises CancelledError afterwards if the task was cancelled. The result or the error of ``work`` is left
    to the caller; asyncio does not log the error as never retrieved.
    """
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if not work.cancelled():
        work.exception()
    if cancelled:
        raise asyncio.CancelledError


async def end_tasks(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks, and return once they have ended; None stands for a task that was never begun."""
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    if begun:
        await asyncio.wait(begun)


class UtteranceScheduler(Protocol[_Utterance_contra, _Stream, _End_co]):
    """Speaks utterances in threads of its own; called by the event loop's thread."""

    def submit(
        self, utterance: _Utterance_contra, listener: Callable[[Samples | _End_co], None], /
    ) -> _Stream:
        """Queue an utterance; ``listener`` is called with its audio and, last, its end."""

    def acknowledge(self, stream: _Stream, samples: int, /) -> None:
        """Report that samples were consumed."""

    def cancel(self, stream: _Stream, /) -> None:
        """Stop a stream; its end still comes."""


async def speak(
    scheduler: UtteranceScheduler[_Utterance_contra, _Stream, _End_co],
    utterance: _Utterance_contra,
    end: type[_End_co],
) -> AsyncGenerator[Samples | _End_co, None]:
    """Yield the audio of an utterance as it is made, then its end, an ``end``.

    Closed early, it cancels the utterance and returns once its slot is free.
    """
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Samples | _End_co] = asyncio.Queue()

    def listener(event: Samples | _End_co) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    async def wait_for_end() -> None:
        while not isinstance(await events.get(), end):
            pass

    stream = scheduler.submit(utterance, listener)
    ended = False
    try:
        while not ended:
            event = await events.get()
            if isinstance(event, end):
                ended = True
            else:
                scheduler.acknowledge(stream, len(cast(Samples, event)))
            yield event
    finally:
        if not ended:
            scheduler.cancel(stream)
            await wait_until_done(asyncio.ensure_future(wait_for_end()))
