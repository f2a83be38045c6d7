"""The process in which espeak-ng runs; ``espeak_library`` starts it and says what it reads and writes.

Each text is spoken by a fork of this process, in which nothing was spoken before: so it sounds the
same each time (the library's flutter of the pitch would run on, and change the length of words).
Where there is no fork, it does run on. A text that crashes espeak-ng ends the fork or the process.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO

from engines.espeak_native import Manner, NativeEspeak, PhonemeEvent, WordEvent
from speech.errors import EngineUnavailable

FIRST_BATCH_S, BATCH_S = 0.25, 1.0
"""Audio in the first message of a text, and in each later one, in seconds."""


def main() -> None:
    """Answer requests until standard input ends."""
    # Ctrl+C and a supervisor's SIGTERM reach the whole group: the server says when this ends.
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
    try:
        while True:
            match pickle.load(requests):  # noqa: S301 - the parent writes it
                case ("phonemes", text, voice, tie):
                    _send(answers, "end", library.phonemes(text, voice, tie))
                case ("synthesize", text, voice, manner):
                    _speak_apart(library, text, voice, Manner(*manner), answers)
    except (EOFError, BrokenPipeError):
        return


def _speak_apart(library: NativeEspeak, text: str, voice: str, manner: Manner, answers: BinaryIO) -> None:
    if not hasattr(os, "fork"):
        _send(answers, "end", _speak(library, text, voice, manner, answers))
        return
    fork = os.fork()
    if fork == 0:
        status = 1
        try:
            _send(answers, "end", _speak(library, text, voice, manner, answers))
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(fork, 0)[1] != 0:
        _send(answers, "crashed", None)


def _speak(library: NativeEspeak, text: str, voice: str, manner: Manner, answers: BinaryIO) -> bool:
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
