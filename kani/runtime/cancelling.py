"""Waits until cancelled work has ended: only then is its engine free. Other work may never end.

An interruption reaches an engine in four steps. ``SpeechSession.cancel`` cancels the session's worker; that
closes the engine's generator at the ``await`` it stands at; the generator tells its thread or process to stop
at the next step of the model; and with ``wait_until_done`` it returns once the thread is free, so that
another session can have the slot.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


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


def in_thread(call: Callable[[], T]) -> Future[T]:
    """Make a call in a thread that no end waits for.

    A microphone may give nothing more for ever, and a server or a file system no answer.
    """
    result = Future[T]()

    def work() -> None:
        if result.set_running_or_notify_cancel():
            try:
                result.set_result(call())
            except BaseException as error:
                result.set_exception(error)

    threading.Thread(target=work, name="kani call", daemon=True).start()
    return result
