"""The parent of the processes of one server: it forks them, starts them again, and ends them.

It has no threads and no event loop, so that it can fork at any time: each process begins with all modules
imported, which it shares in memory, and with the listening sockets. The kernel ends it with its parent.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from kani.core import shared_numbers
from kani.core.shared_numbers import number_of

READY = "ready"
"""Number of a process that serves: 1."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""Pause before a process is started again; it doubles while the process ends before it has served so long."""

TICK_S = 0.5
MARGIN_S = 4.0
"""Seconds more than a stop may take until a process is killed: by then its own limits have ended it."""

INTERRUPTED = 130

_STOPS = (signal.SIGTERM, signal.SIGINT)
_WATCHED = {signal.SIGCHLD, *_STOPS}
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15

log = logging.getLogger("server")


@dataclass(eq=False)
class Process:
    """A process of the server, over all of its starts."""

    name: str  # ``ps -o comm`` shows 15 characters of it
    row: int  # of its numbers
    work: Callable[[], int]  # returns its exit code
    is_front: bool
    is_required: bool = True  # the server ends if its first start fails
    is_wanted: Callable[[], bool] = lambda: True  # it is not started before
    again: Callable[[], None] = lambda: None  # called when it is started again
    pid: int = 0  # 0 while it does not run
    due: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    began: float = field(default_factory=time.monotonic)


class Parent:
    def __init__(self, processes: Sequence[Process], stop_s: float, beat: Callable[[], None] | None) -> None:
        """stop_s: longest stop of one process; beat: tells systemd that this process works."""
        self._processes = processes
        self._kept = len(processes)  # row for the counts of those that have ended
        self._stop_s = stop_s
        self._beat = beat
        self._served = False  # a process has served its clients
        self._code = 0
        self._stops = False
        self._workers_told = False
        self._until = 0.0

    def run(self) -> Process | int:
        """Return the exit code once all processes have ended; in each of them, return the process."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        while not self._stops or any(process.pid for process in self._processes):
            for process in self._processes:
                if not self._stops and self._is_due(process) and _fork(process):
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
                    return process
            told = signal.sigtimedwait(_WATCHED, self._wait_s())
            if told is not None and told.si_signo in _STOPS:
                if self._stops and told.si_signo == signal.SIGINT:
                    self._send(signal.SIGKILL, self._running())
                    self._code = INTERRUPTED
                self._stop()
            self._reap()
            self._go_on()
        return self._code

    def _is_due(self, process: Process) -> bool:
        return not process.pid and process.due <= time.monotonic() and process.is_wanted()

    def _wait_s(self) -> float:
        pauses = [process.due - time.monotonic() for process in self._processes if not process.pid]
        return min([TICK_S, *(pause for pause in pauses if pause > 0)])

    def _running(self) -> list[Process]:
        return [process for process in self._processes if process.pid]

    def _go_on(self) -> None:
        """End the workers once the fronts have ended, kill what does not end, and beat."""
        if self._beat is not None:
            self._beat()
        self._served = self._served or any(
            number_of(each.row, READY) for each in self._processes if each.is_front
        )
        running = self._running()
        if not self._stops or not running:
            return
        # The fronts first: what they speak comes from the workers.
        ending = [process for process in running if process.is_front] or running
        if not ending[0].is_front and not self._workers_told:
            self._workers_told = True
            self._tell_to_stop(ending)
        elif time.monotonic() >= self._until:
            log.error("not ended in time, and killed: %s", ", ".join(process.name for process in ending))
            self._send(signal.SIGKILL, ending)

    def _tell_to_stop(self, processes: Sequence[Process]) -> None:
        self._until = time.monotonic() + self._stop_s + MARGIN_S
        self._send(signal.SIGTERM, processes)

    def _stop(self) -> None:
        """Let the fronts end, and then the workers."""
        if not self._stops:
            self._stops = True
            self._tell_to_stop([process for process in self._running() if process.is_front])

    def _send(self, number: signal.Signals, processes: Sequence[Process]) -> None:
        for process in processes:
            # It is a zombie at least, until it is reaped: its number is no other's.
            os.kill(process.pid, number)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                process = next((each for each in self._processes if each.pid == found[0]), None)
                if process is not None:
                    self._ended(process, os.waitstatus_to_exitcode(found[1]))

    def _ended(self, process: Process, code: int) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        served = bool(number_of(process.row, READY))
        mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
        shared_numbers.clear(process.row, self._kept)
        process.pid = 0
        if self._stops:
            return
        waited = process.is_front and not all(
            number_of(each.row, READY) for each in self._processes if each.is_required and not each.is_front
        )
        if not self._served and process.is_required and code > 0 and not waited:
            # It has said why.
            self._code = code
            self._stop()
            return
        now = time.monotonic()
        process.pause_s = (
            FIRST_PAUSE_S if served and now - process.began > LONGEST_PAUSE_S else process.pause_s
        )
        process.due = now + process.pause_s
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"has ended with exit code {code}"
        log.error("%s %s: it is started again in %g s", process.name, how, process.pause_s)
        process.pause_s = min(2 * process.pause_s, LONGEST_PAUSE_S)
        process.again()


def _fork(process: Process) -> bool:
    """Start a process; return True in it."""
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    process.pid, process.began = os.fork(), time.monotonic()
    if process.pid:
        return False
    # The terminal's Ctrl+C is for the parent.
    os.setpgid(0, 0)
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(_PR_SET_NAME, process.name.encode())
    if os.getppid() != parent:
        os._exit(1)
    shared_numbers.take(process.row)
    return True
