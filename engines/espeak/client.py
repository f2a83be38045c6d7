"""espeak-ng for the engines: in a process of its own, because some texts crash the library.

The process is ``espeak_worker``. Over its standard input and output go pickles: a request
``("phonemes", text, voice, tie)`` or ``("synthesize", text, voice, manner)``, answered by
``("end", result)`` or ``("crashed", None)``; before the end of a synthesis come any number of
``("audio", (pcm, words, phonemes))``, each answered by the byte 1 (go on) or 0 (stop). A process that
crashes at a text it speaks ends; one that gives no answer in time is killed, with all its forks. The next
request starts another.
"""

from __future__ import annotations

import atexit
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.espeak.native import DEFAULT_RATE, EspeakVoice, PhonemeEvent, SynthesisParameters, WordEvent
from speech.errors import EngineFailed, EngineUnavailable

__all__ = ["DEFAULT_RATE", "EspeakClient", "EspeakVoice", "Pcm16", "PhonemeEvent", "WordEvent"]

log = logging.getLogger(__name__)

Pcm16 = npt.NDArray[np.int16]
OnAudio = Callable[[Pcm16, Sequence[WordEvent], Sequence[PhonemeEvent]], None]

_ROOT = Path(__file__).resolve().parents[2]
_START = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from engines.espeak.worker import main; main()"
_END_WITHIN_S = 2.0

ANSWER_TIMEOUT_S = 3.0
"""Longest time of a worker for one answer, in seconds.

An answer takes milliseconds, and 0.1 s for 10,000 characters without a full stop: longer than this, the
library is in an endless loop, or its process has been stopped.
"""

START_TIMEOUT_S = 30.0
"""Longest time of a worker to start, in seconds; it takes 0.2 s, most of it for Python's imports."""


class EspeakClient:
    """espeak-ng; use :meth:`shared`. Safe to call from any thread, one at a time is served."""

    _shared: EspeakClient | None = None
    _shared_lock = threading.Lock()

    @classmethod
    def shared(cls) -> EspeakClient:
        """The one of this process, started on first use (0.1 s).

        Raises EngineUnavailable when the library or its data cannot be loaded.
        """
        with cls._shared_lock:
            if cls._shared is None:
                cls._shared = cls()
                atexit.register(cls._shared.close)
            return cls._shared

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.version, self.sample_rate, self.voices = self._start()
        self._names = frozenset(voice.name for voice in self.voices)

    def has_voice(self, name: str) -> bool:
        """Whether ``name`` is a voice's exact name (``es``, ``es-419``, ``en-us``, ``cmn``)."""
        return name in self._names

    def phonemize(self, text: str, voice: str, tie: str | None = None) -> str:
        """All of ``text`` in the IPA of ``voice``, words apart by a space. Blocks a millisecond.

        What espeak-ng takes for several clauses is joined by a space; its punctuation is gone, as
        are the marks with which it shows that it took a word for another language's. ``tie`` is
        put between the letters of one phoneme (``t^ʃ``). Empty if there is nothing to say.
        Raises ValueError for a voice that does not exist, EngineFailed for a text at which espeak-ng
        crashes or hangs.
        """
        with self._lock:
            for kind, content in self._ask(("phonemes", text, self._checked(voice), tie)):
                if kind == "end":
                    return str(content)
        raise AssertionError("a request ends with its end")

    def synthesize(
        self,
        text: str,
        voice: str,
        on_audio: OnAudio,
        *,
        rate: int = DEFAULT_RATE,
        pitch: int = 50,
        pitch_range: int = 50,
        should_stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Speak ``text``; returns whether it was spoken to its end.

        Blocks until done, about a thousandth of the audio's length. ``on_audio`` is called in
        this thread (it must not call the library) with the first quarter of a second and then
        with every second: int16 mono samples at ``sample_rate`` hertz, and the words and phonemes
        that begin in or after them. When ``should_stop`` says so, or ``on_audio`` raises, the work ends
        within one such step.

        rate: words a minute, 80–450 (other values are clamped by the library); pitch and
        pitch_range: 0–100, 50 is the voice's own. Raises ValueError for a voice that does not
        exist, EngineFailed for a text at which espeak-ng crashes or hangs, and whatever ``on_audio``
        raises.
        """
        failure: BaseException | None = None
        complete = False
        with self._lock:
            manner = SynthesisParameters(rate, pitch, pitch_range)
            for kind, content in self._ask(("synthesize", text, self._checked(voice), tuple(manner))):
                if kind == "end":
                    complete = bool(content)
                    break
                pcm, words, phonemes = content
                # The process has to be told in any case, and its end awaited: it is everybody's.
                try:
                    stopped = should_stop is not None and should_stop()
                    if not stopped:
                        on_audio(np.frombuffer(pcm, np.int16), words, phonemes)
                except BaseException as error:
                    failure, stopped = error, True
                self._tell(b"\0" if stopped else b"\1")
        if failure is not None:
            raise failure
        return complete

    def close(self) -> None:
        """End the process; the next use starts another."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                _end(process)

    def _checked(self, voice: str) -> str:
        if voice not in self._names:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        return voice

    def _ask(self, request: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
        """The answers to a request; the process is started anew if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            _end(self._process)
            self._process = None
        if self._process is None:
            self._start()
        answer = self._answer(pickle.dumps(request))
        while answer[0] != "crashed":
            yield answer
            answer = self._answer()
        raise EngineFailed("espeak-ng crashed at this text")

    def _start(self) -> tuple[str, int, tuple[EspeakVoice, ...]]:
        # A session of its own, so that it can be killed together with its forks.
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        kind, content = self._answer(within_s=START_TIMEOUT_S)
        if kind == "unavailable":
            raise EngineUnavailable(content)
        if kind == "crashed":
            raise EngineFailed("espeak-ng does not start")
        version, sample_rate, voices = content
        return version, sample_rate, voices

    def _tell(self, content: bytes) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            try:
                process.stdin.write(content)
                process.stdin.flush()
            except BrokenPipeError:
                # It has ended: reading its answer says so.
                return

    def _answer(self, asked: bytes = b"", within_s: float = ANSWER_TIMEOUT_S) -> tuple[str, Any]:
        """Send ``asked``, and the next answer. Raises EngineFailed where none comes ``within_s`` seconds."""
        process = self._process
        if process is None or process.stdout is None:
            return "crashed", None
        hung = threading.Event()
        watchdog = threading.Timer(within_s, _kill, (process, hung))
        watchdog.start()
        try:
            # A long text fills the pipe of a process that does not read: this may block as well.
            self._tell(asked)
            kind, content = pickle.load(process.stdout)  # noqa: S301 - our own process writes it
        except (EOFError, pickle.UnpicklingError):
            self._process = None
            watchdog.cancel()
            watchdog.join()
            _end(process)
            if hung.is_set():
                log.warning("espeak-ng gave no answer for %g s: its process was killed", within_s)
                sentence = f"espeak-ng hung at this text (no answer for {within_s:g} s)"
                raise EngineFailed(sentence, logged=True) from None
            return "crashed", None
        finally:
            watchdog.cancel()
        return kind, content


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker, and leave nothing of it behind."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                # What could not be written to a process that has ended.
                continue
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_WITHIN_S)
    _kill(process)
    process.wait()


def _kill(process: subprocess.Popen[bytes], hung: threading.Event | None = None) -> None:
    """Kill the worker and its forks, which hold its pipes; ``hung`` is set before."""
    if hung is not None:
        hung.set()
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
