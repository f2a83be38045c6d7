"""A limit of time for each test: one that hangs fails, and its report says where it waits."""

import asyncio
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from _pytest.outcomes import OutcomeException

from tests.support.patience import WITHIN_S

# Of a test's setup, of itself and of its teardown. Longer than a test's own guards, which say more.
FIRST_TIER_S = WITHIN_S + 60.0
OTHER_TIERS_S = 4 * WITHIN_S
END = float(os.environ.get("TESTS_END", "inf"))
"""When the whole run has to end, in seconds since 1970: .ci/lib.sh sets it."""
AGAIN_S = 30.0
"""Seconds until what goes on in spite of an interruption is interrupted again."""

stderr = 2
over = ""
"""Why the phase that runs was interrupted, "" if it was not."""


class Endless(OutcomeException):
    """A test was interrupted.

    No Exception, which what is tested may catch, and not pytest's Failed, for which hypothesis tries again.
    """


def pytest_configure() -> None:
    """Keep the standard error, which pytest catches while a test runs."""
    global stderr
    stderr = os.dup(2)


def pytest_enter_pdb() -> None:
    _disarm()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    first = not any(map(item.get_closest_marker, ("server", "heard")))
    seconds = FIRST_TIER_S if first else OTHER_TIERS_S
    with _limit(min(seconds, max(AGAIN_S, END - time.time()))):
        return (yield)


pytest_runtest_call = pytest_runtest_teardown = pytest_runtest_setup


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    global over
    over = ""
    # In C code and on Windows nothing interrupts a test: its process ends, and pytest-xdist starts another.
    faulthandler.dump_traceback_later(seconds + 3 * AGAIN_S, exit=True, file=stderr)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, lambda *_: _interrupt(f"it has not ended in {seconds:.0f} s"))
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        _disarm()
    if over:
        raise Endless(over)


def _disarm() -> None:
    faulthandler.cancel_dump_traceback_later()
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(reason: str) -> None:
    """Cancel all tasks of this thread's event loop: the error has a traceback to the ``await``.

    What no loop runs, or goes on regardless, is interrupted by Endless, wherever it is.
    """
    global over
    first, over = not over, reason
    if first:
        _print_other_threads()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if loop is None or not first:
        raise Endless(reason)
    loop.call_soon_threadsafe(_cancel_all, loop)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.print_stack(file=sys.stderr)
        task.cancel(over)


def _print_other_threads() -> None:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.ident in frames:
            print(f"Thread {thread.name}, most recent call last:", file=sys.stderr)
            traceback.print_stack(frames[thread.ident])
