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
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.engines.espeak.native import EspeakVoice, PhonemeEvent, SynthesisParameters, WordEvent
from kani.runtime.child_process import python_command
from kani.runtime.pickling_process import PicklingProcess, ProcessEnded

log = logging.getLogger(__name__)

_USUAL = SynthesisParameters()

Pcm16 = npt.NDArray[np.int16]
OnAudio = Callable[[Pcm16, Sequence[WordEvent], Sequence[PhonemeEvent]], None]

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
        self._process = PicklingProcess(python_command("kani.engines.espeak.worker"), START_TIMEOUT_S)
        ready: tuple[str, int, tuple[EspeakVoice, ...]]
        try:
            _, ready = self._answer(self._process.start)
        except BaseException:
            self._process.close()
            raise
        self.version, self.sample_rate, self.voices = ready
        self._names = frozenset(voice.name for voice in self.voices)

    def has_voice(self, name: str) -> bool:
        """Return whether ``name`` is a voice's exact name (``es``, ``es-419``, ``en-us``, ``cmn``)."""
        return name in self._names

    def phonemize_all(self, texts: Sequence[str], voice: str, tie: str | None = None) -> list[str]:
        """Return ``texts`` in the IPA of ``voice``, words separated by a space. Blocks for milliseconds.

        Clauses are joined by a space. espeak-ng's punctuation is removed, as are the marks of words that it
        takes for another language's. ``tie`` is put between the letters of one phoneme (``t^ʃ``). Empty if
        there is nothing to say. Raises ValueError for an unknown voice, EngineFailed if espeak-ng crashes or
        hangs at one of the texts.
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
                self._process.write(b"\0" if stopped else b"\1")
        if failure is not None:
            raise failure
        return complete

    def close(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            self._process.close()

    def _checked(self, voice: str) -> str:
        if voice not in self._names:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        return voice

    def _request(self, request: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
        """Yield the answers to a request; starts the process if it has ended."""
        sent = pickle.dumps(request)
        while True:
            yield self._answer(partial(self._process.exchange, sent, ANSWER_TIMEOUT_S))
            sent = b""

    def _answer(self, ask: Callable[[], tuple[str, Any]]) -> tuple[str, Any]:
        """Return an answer of the process. Raises EngineFailed, and EngineUnavailable if it cannot start."""
        try:
            kind, content = ask()
        except ProcessEnded as error:
            if error.hung:
                log.warning("espeak-ng %s: its process was killed", error)
            raise EngineFailed(f"espeak-ng {error}", logged=error.hung) from None
        if kind == "unavailable":
            raise EngineUnavailable(content)
        if kind == "crashed":
            raise EngineFailed("espeak-ng crashed at this text")
        return kind, content
