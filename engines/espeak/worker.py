"""The process in which espeak-ng runs; ``espeak_library`` starts it and says what it reads and writes.

Each text is spoken by a fork of this process, in which nothing was spoken or phonemised before: so it
sounds the same each time (the library's flutter of the pitch would run on, and change the length of words;
and after some texts that were only phonemised, speech comes out with its vowels cut to nothing). All texts
are phonemised by one fork that lives on. Where there is no fork, all happens in this process.
A text that crashes espeak-ng ends the fork or the process. Where it was a fork that spoke, the process
ends, too: an answer of the fork may be torn, and what was sent to it may be left in standard input, where
it would be taken for the next request.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from engines.espeak.native import NativeEspeak, PhonemeEvent, SynthesisParameters, WordEvent
from speech.errors import EngineUnavailable

FIRST_BATCH_S, BATCH_S = 0.25, 1.0
"""Audio in the first message of a text, and in each later one, in seconds."""


def main() -> None:
    """Answer requests until standard input ends."""
    # A supervisor's SIGTERM reaches all processes of a service: the server says when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Whatever the library prints is no answer.
    os.dup2(2, 1)
    try:
        library = NativeEspeak()
    except EngineUnavailable as error:
        _send(answers, "unavailable", str(error))
        return
    _send(answers, "ready", (library.version, library.sample_rate, library.voices))
    phonemizer = _Phonemizer(library, answers) if hasattr(os, "fork") else None
    try:
        while True:
            match pickle.load(requests):  # noqa: S301 - the parent writes it
                case ("phonemes", text, voice, tie):
                    if phonemizer is None:
                        _send(answers, "end", library.phonemize(text, voice, tie))
                    else:
                        _send(answers, *phonemizer.phonemes(text, voice, tie))
                case ("synthesize", text, voice, manner):
                    if not _speak_apart(library, text, voice, SynthesisParameters(*manner), answers):
                        return
    except (EOFError, BrokenPipeError):
        return
    finally:
        if phonemizer is not None:
            phonemizer.close()


class _Phonemizer:
    """A fork that phonemises text after text; another takes its place when one has crashed it."""

    def __init__(self, library: NativeEspeak, answers: BinaryIO) -> None:
        """answers: what the fork has no business with."""
        self._library = library
        self._others = answers
        self._fork = 0

    def phonemes(self, text: str, voice: str, tie: str | None) -> tuple[str, object]:
        """What is to be answered: its kind and content."""
        # A fork that was killed while it had nothing to do is no fault of this text.
        if self._fork and os.waitpid(self._fork, os.WNOHANG)[0]:
            self._forget()
        if not self._fork:
            self._start()
        try:
            pickle.dump((text, voice, tie), self._requests)
            self._requests.flush()
            return "end", pickle.load(self._found)  # noqa: S301 - our own fork writes it
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            self._end()
            return "crashed", None

    def _start(self) -> None:
        asked, ask = os.pipe()
        found, find = os.pipe()
        self._fork = os.fork()
        if self._fork == 0:
            # Or it would not see that nobody asks any more, and others not that this process has ended.
            os.close(ask)
            os.close(found)
            os.close(self._others.fileno())
            try:
                self._answer(os.fdopen(asked, "rb"), os.fdopen(find, "wb"))
            finally:
                os._exit(0)
        os.close(asked)
        os.close(find)
        self._requests, self._found = os.fdopen(ask, "wb"), os.fdopen(found, "rb")

    def _answer(self, requests: BinaryIO, found: BinaryIO) -> None:
        try:
            while True:
                text, voice, tie = pickle.load(requests)  # noqa: S301 - our own parent writes it
                pickle.dump(self._library.phonemize(text, voice, tie), found)
                found.flush()
        except (EOFError, BrokenPipeError):
            return

    def close(self) -> None:
        """End and reap the fork, if there is one: the process that inherits it may not reap it."""
        if self._fork:
            self._end()

    def _end(self) -> None:
        fork = self._fork
        self._forget()
        os.waitpid(fork, 0)

    def _forget(self) -> None:
        """Close the pipes of the fork, which ends by that if it has not ended."""
        self._fork = 0
        self._found.close()
        # What it could not read any more.
        with suppress(BrokenPipeError):
            self._requests.close()


def _speak_apart(
    library: NativeEspeak, text: str, voice: str, manner: SynthesisParameters, answers: BinaryIO
) -> bool:
    """Speak in a fork; whether it ended as it should."""
    if not hasattr(os, "fork"):
        _send(answers, "end", _speak(library, text, voice, manner, answers))
        return True
    fork = os.fork()
    if fork == 0:
        status = 1
        try:
            _send(answers, "end", _speak(library, text, voice, manner, answers))
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(fork, 0)[1] == 0


def _speak(
    library: NativeEspeak, text: str, voice: str, manner: SynthesisParameters, answers: BinaryIO
) -> bool:
    """Send the audio in batches; the reader says after each whether it wants more."""
    batch, words, phonemes = bytearray(), list[WordEvent](), list[PhonemeEvent]()
    due_s = FIRST_BATCH_S

    def send() -> bool:
        nonlocal due_s
        due_s = BATCH_S
        _send(answers, "audio", (bytes(batch), tuple(words), tuple(phonemes)))
        batch.clear()
        words.clear()
        phonemes.clear()
        return os.read(0, 1) == b"\1"

    def on_audio(pcm: bytes, new_words: Sequence[WordEvent], new_phonemes: Sequence[PhonemeEvent]) -> bool:
        batch.extend(pcm)
        words.extend(new_words)
        phonemes.extend(new_phonemes)
        return len(batch) < 2 * due_s * library.sample_rate or send()

    complete = library.synthesize(text, voice, manner, on_audio)
    return complete and (not batch or send())


def _send(answers: BinaryIO, kind: str, content: object) -> None:
    pickle.dump((kind, content), answers)
    answers.flush()
