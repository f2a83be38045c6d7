"""Client of espeak-ng in a process of its own, because some texts crash or hang the library.

The process is ``kani.engines.espeak.worker``. Its standard input and output carry pickles: a request
``("phonemes", texts, voice, tie)`` or ``("synthesize", text, voice, parameters)`` is answered by
``("end", result)`` or ``("crashed", None)``. Before the end of a synthesis come any number of
``("audio", (pcm, words, phonemes))``, each acknowledged by the byte 1 (continue) or 0 (stop), while the
process makes the next one. A process that crashes while it speaks ends; one that gives no answer in time is
killed with all its forks. The next request starts another.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import pickle
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.engines.espeak.native import EspeakVoice, PhonemeEvent, SynthesisParameters, WordEvent
from kani.runtime.child_process import python_command

log = logging.getLogger(__name__)

_USUAL = SynthesisParameters()

Pcm16 = npt.NDArray[np.int16]
OnAudio = Callable[[Pcm16, Sequence[WordEvent], Sequence[PhonemeEvent]], None]

_EXIT_TIMEOUT_S = 2.0

ANSWER_TIMEOUT_S = 3.0
"""Longest time of the worker for one answer, in seconds.

An answer takes milliseconds, and 0.1 s for 10,000 characters without a full stop: longer than this, the
library is in an endless loop, or its process has been stopped.
"""

START_TIMEOUT_S = 30.0
"""Longest time of the worker to start, in seconds; it takes 0.2 s, most of it for Python's imports."""


Purpose = Literal["speech", "phonemes"]


class EspeakClient:
    """espeak-ng; use :meth:`shared`. Safe to call from any thread; requests are served one at a time."""

    _shared: ClassVar[dict[Purpose, EspeakClient]] = {}
    _shared_lock = threading.Lock()

    @classmethod
    def shared(cls, purpose: Purpose = "speech") -> EspeakClient:
        """Return this process' client for a purpose, started on first use (0.1 s).

        Each purpose has a child process of its own: another engine's phonemes do not wait for a sentence that
        is being spoken. Raises EngineUnavailable when the library or its data cannot be loaded.
        """
        with cls._shared_lock:
            if purpose not in cls._shared:
                cls._shared[purpose] = client = cls()
                atexit.register(client.close)
            return cls._shared[purpose]

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog = _Watchdog()
        self.version, self.sample_rate, self.voices = self._start()
        self._names = frozenset(voice.name for voice in self.voices)

    def has_voice(self, name: str) -> bool:
        """Return whether ``name`` is a voice's exact name (``es``, ``es-419``, ``en-us``, ``cmn``)."""
        return name in self._names

    def phonemize(self, text: str, voice: str, tie: str | None = None) -> str:
        """Return ``text`` in the IPA of ``voice``, words separated by a space. Blocks for a millisecond.

        Clauses are joined by a space. espeak-ng's punctuation is removed, as are the marks of words that it
        takes for another language's. ``tie`` is put between the letters of one phoneme (``t^ʃ``). Empty if
        there is nothing to say. Raises ValueError for an unknown voice, EngineFailed for a text at which
        espeak-ng crashes or hangs.
        """
        return self.phonemize_all((text,), voice, tie)[0]

    def phonemize_all(self, texts: Sequence[str], voice: str, tie: str | None = None) -> list[str]:
        """Phonemize each of ``texts`` as ``phonemize`` would, in one exchange with the process.

        Raises ValueError for an unknown voice, EngineFailed if espeak-ng crashes or hangs at one of them.
        """
        with self._lock:
            for kind, content in self._request(("phonemes", tuple(texts), self._checked(voice), tie)):
                if kind == "end":
                    return list(content)
        raise AssertionError("a request ends with its end")

    def synthesize(
        self,
        text: str,
        voice: str,
        on_audio: OnAudio,
        parameters: SynthesisParameters = _USUAL,
        *,
        should_stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Speak ``text``; returns whether it was spoken to its end.

        Blocks until done, about a thousandth of the audio's length. ``on_audio`` is called in this thread (it
        must not call the client) with the first quarter of a second and then with every second: int16 mono
        samples at ``sample_rate`` hertz, and the words and phonemes that begin in or after them. When
        ``should_stop`` returns True, or ``on_audio`` raises, the work ends within two such steps.

        Raises ValueError for an unknown voice, EngineFailed for a text at which espeak-ng crashes or hangs,
        and the errors of ``on_audio``.
        """
        failure: BaseException | None = None
        complete = False
        with self._lock:
            for kind, content in self._request(("synthesize", text, self._checked(voice), tuple(parameters))):
                if kind == "end":
                    complete = bool(content)
                    break
                pcm, words, phonemes = content
                # The worker is shared: even after an error it must be acknowledged, and its end read.
                try:
                    stopped = failure is not None or (should_stop is not None and should_stop())
                    if not stopped:
                        on_audio(np.frombuffer(pcm, np.int16), words, phonemes)
                except BaseException as error:
                    failure, stopped = error, True
                self._write(b"\0" if stopped else b"\1")
        if failure is not None:
            raise failure
        return complete

    def close(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                _end(process)
            self._watchdog.close()

    def _checked(self, voice: str) -> str:
        if voice not in self._names:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        return voice

    def _request(self, request: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
        """Yield the answers to a request; starts the process if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            _end(self._process)
            self._process = None
        if self._process is None:
            self._start()
        answer = self._exchange(pickle.dumps(request))
        while answer[0] != "crashed":
            yield answer
            answer = self._exchange()
        raise EngineFailed("espeak-ng crashed at this text")

    def _start(self) -> tuple[str, int, tuple[EspeakVoice, ...]]:
        # A session of its own, so that it can be killed together with its forks.
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            python_command("kani.engines.espeak.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        kind, content = self._exchange(timeout_s=START_TIMEOUT_S)
        if kind == "unavailable":
            raise EngineUnavailable(content)
        if kind == "crashed":
            raise EngineFailed("espeak-ng does not start")
        version, sample_rate, voices = content
        return version, sample_rate, voices

    def _write(self, content: bytes) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            try:
                process.stdin.write(content)
                process.stdin.flush()
            except BrokenPipeError:
                # The process has ended, which reading its answer reports.
                return

    def _exchange(self, sent: bytes = b"", timeout_s: float = ANSWER_TIMEOUT_S) -> tuple[str, Any]:
        """Write ``sent`` and read the next answer. Raises EngineFailed after ``timeout_s`` without one."""
        process = self._process
        if process is None or process.stdout is None:
            return "crashed", None
        self._watchdog.watch(process, timeout_s)
        try:
            # May block as well: a long text fills the pipe of a process that does not read.
            self._write(sent)
            kind, content = pickle.load(process.stdout)  # noqa: S301 - our own process writes it
        except (EOFError, pickle.UnpicklingError):
            self._process = None
            hung = self._watchdog.stop_watching()
            _end(process)
            if hung:
                log.warning("espeak-ng gave no answer for %g s: its process was killed", timeout_s)
                sentence = f"espeak-ng hung at this text (no answer for {timeout_s:g} s)"
                raise EngineFailed(sentence, logged=True) from None
            return "crashed", None
        finally:
            self._watchdog.stop_watching()
        return kind, content


class _Watchdog:
    """Kills a process that gives no answer in time; one thread for all exchanges with it.

    A thread for each exchange took two thirds of the client's processor time.
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
                self._thread = threading.Thread(target=self._run, name="espeak-watchdog", daemon=True)
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


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                # Buffered bytes for a process that has ended.
                continue
    with suppress(subprocess.TimeoutExpired):
        process.wait(_EXIT_TIMEOUT_S)
    _kill(process)
    process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker and its forks, which hold its pipes."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
