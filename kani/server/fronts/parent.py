"""The parent of the processes of one server: it forks them, starts them again, and ends them.

It has no event loop and starts no threads, so it can fork at any time: each process begins with all modules,
which it shares in memory, and with the listening sockets. The kernel ends it with its parent.
"""

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client.multiprocess import mark_process_dead

from kani.core import shared_numbers
from kani.core.shared_numbers import Number
from kani.server.logs import rotate_file

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""Pause before a process is started again; it doubles while the process ends before it has run so long."""

TICK_S = 0.5
MARGIN_S = 4.0
"""Seconds more than a stop may take until a process is killed: by then its own limits have ended it."""

PASSING, LASTING, INTERRUPTED = 1, 2, 130
"""Exit codes: of what may succeed later; of what cannot; after a second Ctrl+C."""

WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # not ignored, as by nohup
    WATCHED.add(signal.SIGHUP)
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15

log = logging.getLogger("server")


@dataclass(eq=False)
class Process:
    """A process of the server, over all of its starts."""

    name: str  # ``ps -o comm`` shows 15 characters of it
    row: int  # of its numbers
    work: Callable[[], int]  # returns its exit code
    count: Callable[[], None]  # called when it has ended and is started again
    is_front: bool = False
    is_required: bool = True  # the server ends if its first start fails
    pid: int = 0  # 0 while it does not run
    began: float = 0.0
    due: float = 0.0
    pause_s: float = FIRST_PAUSE_S


class Parent:
    def __init__(self, processes: Sequence[Process], stop_s: float, beat: Callable[[], None] | None) -> None:
        """stop_s: longest stop of one process; beat: tells systemd that this process works."""
        self._processes = processes
        self._stop_s, self._beat = stop_s, beat
        self._ready = Number("ready")
        self.served = False  # True once a front could serve clients
        self._code = 0
        self._told: set[Process] = set()  # those that were told to stop
        self._stops_at: float | None = None  # when what still runs is killed

    def run(self, close: Callable[[], None]) -> Process | int:
        """Return the process in each, the exit code once all have ended; close: called after the fronts."""
        while self._stops_at is None or self._running():
            for process in self._processes:
                if self._is_due(process) and _forked(process, late=self.served):
                    # A supervisor may send SIGTERM to all: the fronts need the workers to their end.
                    held = set() if process.is_front else {signal.SIGTERM, signal.SIGHUP}
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED - held)
                    return process
            told = signal.sigtimedwait(WATCHED, self._wait_s())
            if told is not None and told.si_signo != signal.SIGCHLD:
                if self._stops_at is not None and told.si_signo == signal.SIGINT:
                    self._code = INTERRUPTED
                    _send(signal.SIGKILL, self._running())
                self._stop()
            self._go_on()
            if self._stops_at is not None and not any(process.is_front for process in self._running()):
                close()
        return self._code

    def _running(self) -> list[Process]:
        return [process for process in self._processes if process.pid]

    def _is_due(self, process: Process) -> bool:
        # A reason that keeps one front from serving would keep all: only the first one says it.
        first = self.served or process.row == 0 or not process.is_front
        return self._stops_at is None and not process.pid and first and process.due <= time.monotonic()

    def _wait_s(self) -> float:
        pauses = [process.due - time.monotonic() for process in self._processes if not process.pid]
        return min([TICK_S, *(pause for pause in pauses if pause > 0)])

    def _go_on(self) -> None:
        """Beat, take note of processes that have ended, and have the workers end after the fronts."""
        if self._beat is not None:
            self._beat()
        rotate_file()
        self.served |= any(self._ready.of(each.row) for each in self._processes if each.is_front)
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                for process in self._processes:
                    if process.pid == found[0]:
                        self._ended(process, os.waitstatus_to_exitcode(found[1]))
        if self._stops_at is None:
            return
        running = self._running()
        ending = [process for process in running if process.is_front] or running
        if further := [process for process in ending if process not in self._told]:
            self._told |= {*further}
            self._stops_at = time.monotonic() + self._stop_s + MARGIN_S
            _send(signal.SIGTERM if further[0].is_front else signal.SIGINT, further)
        elif time.monotonic() >= self._stops_at:
            log.error("not ended in time, and killed: %s", ", ".join(process.name for process in ending))
            _send(signal.SIGKILL, ending)

    def _stop(self) -> None:
        self._stops_at = self._stops_at or time.monotonic() + self._stop_s + MARGIN_S

    def _ended(self, process: Process, code: int) -> None:
        # A front that starts waits for its workers.
        waited = process.is_front and not all(
            self._ready.of(each.row) for each in self._processes if each.is_required and not each.is_front
        )
        mark_process_dead(process.row)  # type: ignore[no-untyped-call]
        shared_numbers.clear(process.row)
        process.pid = 0
        if self._stops_at is not None:
            return
        if not self.served and process.is_required and code > 0 and not (waited and code == PASSING):
            # It has said why.
            self._code = code
            self._stop()
            return
        if not process.is_required and code == LASTING:  # the server does without it
            process.due = float("inf")
            return
        now = time.monotonic()
        if now - process.began > LONGEST_PAUSE_S:
            process.pause_s = FIRST_PAUSE_S
        how = f"was ended ({signal.strsignal(-code)})" if code < 0 else f"has ended with exit code {code}"
        log.error("%s %s: it is started again in %g s", process.name, how, process.pause_s)
        process.due = now + process.pause_s
        process.pause_s = min(2 * process.pause_s, LONGEST_PAUSE_S)
        process.count()


def _send(number: signal.Signals, processes: Iterable[Process]) -> None:
    for process in processes:
        # It is a zombie at least, until it is waited for: its number is no other's.
        os.kill(process.pid, number)


def _forked(process: Process, *, late: bool) -> bool:
    """Start a process; return True in it. late: whether others serve clients already."""
    parent = os.getpid()
    sys.stdout.flush()
    try:
        process.pid, process.began = os.fork(), time.monotonic()
    except OSError as error:
        log.error("%s cannot be started, and is tried again: %s", process.name, error.strerror)
        process.due = time.monotonic() + LONGEST_PAUSE_S
        return False
    if process.pid:
        return False
    # The terminal's Ctrl+C is for the parent.
    os.setpgid(0, 0)
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(_PR_SET_NAME, process.name.encode())
    if os.getppid() != parent:
        os._exit(1)
    shared_numbers.take(process.row, late=late)
    return True
