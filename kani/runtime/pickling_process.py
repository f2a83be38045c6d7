"""A child process that answers requests by pickles on its standard input and output.

It holds a library that may crash or hang. The child's side is ``answering`` and ``send``. An answer is a pair
of a kind and a content; its first one is ``READY``, or says why it cannot start.
"""

import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

READY = "ready"

_EXIT_TIMEOUT_S = 2.0


class ProcessEnded(Exception):
    """The process has crashed, or was killed as it gave no answer in time (``hung``); see the message."""

    def __init__(self, message: str, *, hung: bool) -> None:
        super().__init__(message)
        self.hung = hung


class PicklingProcess:
    """A process that is started by its first use, and again by the next one after it has ended.

    All methods block; one thread at a time.
    """

    def __init__(
        self, command: Sequence[str], start_timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> None:
        """environment: its variables; None for those of this process."""
        self._command, self._start_timeout_s, self._environment = command, start_timeout_s, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog = _Watchdog()

    @property
    def pid(self) -> int | None:
        """Number of the process; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> tuple[str, Any]:
        """Start the process, instead of one that has ended; return its first answer. Raises ProcessEnded."""
        self._end()
        # A session of its own, so that it can be killed together with its forks.
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        timeout_s = self._start_timeout_s
        return self._answer(b"", timeout_s, "does not start", f"did not start in {timeout_s:g} s")

    def write(self, content: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            # A process that has ended is reported by the reading of its answer.
            with suppress(BrokenPipeError):
                self._process.stdin.write(content)
                self._process.stdin.flush()

    def exchange(self, sent: bytes, timeout_s: float) -> tuple[str, Any]:
        """Write ``sent``, if it is not empty, and return the next answer.

        A request starts the process where it does not run; if it cannot start, its first answer is returned.
        Raises ProcessEnded, also after ``timeout_s`` without an answer.
        """
        if sent and self.pid is None and (first := self.start())[0] != READY:
            return first
        hung = f"hung at this text (no answer for {timeout_s:g} s)"
        return self._answer(sent, timeout_s, "crashed at this text", hung)

    def _answer(self, sent: bytes, timeout_s: float, crashed: str, hung: str) -> tuple[str, Any]:
        """Exchange with the process that runs; crashed, hung: messages of ProcessEnded."""
        assert self._process is not None and self._process.stdout is not None
        self._watchdog.watch(self._process, timeout_s)
        try:
            # May block as well: a long text fills the pipe of a process that does not read.
            self.write(sent)
            kind, content = pickle.load(self._process.stdout)  # noqa: S301 - our own process writes it
            return kind, content
        except (EOFError, pickle.UnpicklingError):
            pass
        finally:
            killed = self._watchdog.stop_watching()
        self._end()
        raise ProcessEnded(hung if killed else crashed, hung=killed)

    def close(self) -> None:
        """End the process."""
        self._end()
        self._watchdog.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            # Buffered bytes for a process that has ended.
            with suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]
        with suppress(subprocess.TimeoutExpired):
            process.wait(_EXIT_TIMEOUT_S)
        _kill(process)
        process.wait()


class _Watchdog:
    """Kills a process that gives no answer in time; one thread for all exchanges with it.

    A thread for each exchange took two thirds of a client's processor time.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._process: subprocess.Popen[bytes] | None = None
        self._due = math.inf
        self._wakes_at = math.inf  # time until which the thread sleeps at most, on the monotonic clock
        self._killed = False
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        """Kill ``process`` in ``timeout_s`` seconds, unless ``stop_watching`` is called before."""
        with self._changed:
            self._process, self._due, self._killed = process, time.monotonic() + timeout_s, False
            if self._thread is None:
                self._closed = False
                self._thread = threading.Thread(target=self._run, name="process-watchdog", daemon=True)
                self._thread.start()
            elif self._due < self._wakes_at:
                self._changed.notify()

    def stop_watching(self) -> bool:
        """Watch no longer; return whether the process was killed."""
        with self._changed:
            self._process, self._due = None, math.inf
            return self._killed

    def close(self) -> None:
        """End the thread; ``watch`` starts another."""
        with self._changed:
            thread, self._thread, self._closed = self._thread, None, True
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                if self._process is not None and self._due <= time.monotonic():
                    self._killed = True
                    _kill(self._process)
                    self._process, self._due = None, math.inf
                # It is not woken when an exchange ends: it finds the next one's time when it wakes.
                self._wakes_at = self._due
                left_s = self._due - time.monotonic()
                self._changed.wait(left_s if math.isfinite(left_s) else None)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its forks, which hold its pipes."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def answering() -> tuple[BinaryIO, BinaryIO]:
    """Prepare this process, the child; return where requests come from, and where answers go."""
    # A supervisor's signal reaches all processes of a service: the client decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    # Output of a library must not mix with the answers.
    os.dup2(2, 1)
    return sys.stdin.buffer, answers


def send(answers: BinaryIO, kind: str, content: object) -> None:
    """Send an answer."""
    pickle.dump((kind, content), answers)
    answers.flush()
