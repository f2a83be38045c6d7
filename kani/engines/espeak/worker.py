"""Process that runs espeak-ng; ``kani.engines.espeak.client`` starts it and documents its messages.

Each text is spoken by a fork of this process. Nothing was spoken or phonemised in it before, so that the text
always sounds the same: the library's random flutter of the pitch would continue, and change the length of
words; and after some texts that were phonemised, speech loses its vowels. All texts are phonemised by one
long-lived fork. On systems without fork everything happens in this process.

A text that crashes espeak-ng ends the fork or the process. If it was a fork that spoke, the process ends as
well: the fork's answer may be incomplete, and its unread acknowledgements in standard input would be taken
for the next request.
"""

import os
import pickle
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from kani.core.errors import EngineUnavailable
from kani.engines.espeak.native import NativeEspeak, PhonemeEvent, SynthesisParameters, WordEvent
from kani.runtime.pickling_process import READY, answering, send

FIRST_BATCH_S, BATCH_S = 0.25, 1.0
"""Audio in the first message of a text, and in each later one, in seconds."""


def main() -> None:
    """Answer requests until standard input ends."""
    requests, answers = answering()
    try:
        library = NativeEspeak()
    except EngineUnavailable as error:
        send(answers, "unavailable", str(error))
        return
    send(answers, READY, (library.version, library.sample_rate, library.voices))
    phonemizer = _Phonemizer(library, answers) if hasattr(os, "fork") else None
    try:
        while True:
            match pickle.load(requests):  # noqa: S301 - the parent writes it
                case ("phonemes", texts, voice, tie):
                    if phonemizer is None:
                        send(answers, "end", library.phonemize_all(texts, voice, tie))
                    else:
                        send(answers, *phonemizer.phonemize_all(texts, voice, tie))
                case ("synthesize", text, voice, parameters):
                    if not _speak_in_fork(library, text, voice, SynthesisParameters(*parameters), answers):
                        return
    except (EOFError, BrokenPipeError):
        return
    finally:
        if phonemizer is not None:
            phonemizer.close()


class _Phonemizer:
    """A fork that phonemises texts, one request after another, and is replaced when one crashes it."""

    def __init__(self, library: NativeEspeak, answers: BinaryIO) -> None:
        """answers: the process' output, which the fork closes."""
        self._library = library
        self._answers = answers
        self._fork = 0

    def phonemize_all(self, texts: Sequence[str], voice: str, tie: str | None) -> tuple[str, object]:
        """Return the kind and the content of the answer."""
        # A fork that was killed while it was idle is no fault of these texts.
        if self._fork and os.waitpid(self._fork, os.WNOHANG)[0]:
            self._close_pipes()
        if not self._fork:
            self._start()
        try:
            pickle.dump((texts, voice, tie), self._requests)
            self._requests.flush()
            return "end", pickle.load(self._results)  # noqa: S301 - our own fork writes it
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            self._end()
            return "crashed", None

    def _start(self) -> None:
        request_out, request_in = os.pipe()
        result_out, result_in = os.pipe()
        self._fork = os.fork()
        if self._fork == 0:
            # Open in the fork, these would hide the end of the process from the fork and from the client.
            os.close(request_in)
            os.close(result_out)
            os.close(self._answers.fileno())
            try:
                self._serve(os.fdopen(request_out, "rb"), os.fdopen(result_in, "wb"))
            finally:
                os._exit(0)
        os.close(request_out)
        os.close(result_in)
        self._requests, self._results = os.fdopen(request_in, "wb"), os.fdopen(result_out, "rb")

    def _serve(self, requests: BinaryIO, results: BinaryIO) -> None:
        """Answer requests in the fork until the process closes its pipe."""
        try:
            while True:
                texts, voice, tie = pickle.load(requests)  # noqa: S301 - our own parent writes it
                pickle.dump(self._library.phonemize_all(texts, voice, tie), results)
                results.flush()
        except (EOFError, BrokenPipeError):
            return

    def close(self) -> None:
        """End and reap the fork, if there is one: the process that inherits it may not reap it."""
        if self._fork:
            self._end()

    def _end(self) -> None:
        fork = self._fork
        self._close_pipes()
        os.waitpid(fork, 0)

    def _close_pipes(self) -> None:
        """Close the pipes to the fork, which ends a fork that is still running."""
        self._fork = 0
        self._results.close()
        # A request that a dead fork did not read.
        with suppress(BrokenPipeError):
            self._requests.close()


def _speak_in_fork(
    library: NativeEspeak, text: str, voice: str, parameters: SynthesisParameters, answers: BinaryIO
) -> bool:
    """Speak in a fork; returns whether the fork ended without an error."""
    if not hasattr(os, "fork"):
        send(answers, "end", _speak(library, text, voice, parameters, answers))
        return True
    fork = os.fork()
    if fork == 0:
        status = 1
        try:
            send(answers, "end", _speak(library, text, voice, parameters, answers))
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(fork, 0)[1] == 0


def _speak(
    library: NativeEspeak, text: str, voice: str, parameters: SynthesisParameters, answers: BinaryIO
) -> bool:
    """Send the audio in batches, each acknowledged by the client; returns whether all was spoken.

    The next batch is made while the client takes one.
    """
    batch, words, phonemes = bytearray(), list[WordEvent](), list[PhonemeEvent]()
    due_s, unacknowledged = FIRST_BATCH_S, 0

    def acknowledged() -> bool:
        nonlocal unacknowledged
        unacknowledged -= 1
        return os.read(0, 1) == b"\1"

    def send_batch() -> bool:
        nonlocal due_s, unacknowledged
        due_s = BATCH_S
        send(answers, "audio", (bytes(batch), tuple(words), tuple(phonemes)))
        batch.clear()
        words.clear()
        phonemes.clear()
        unacknowledged += 1
        return unacknowledged < 2 or acknowledged()

    def on_audio(pcm: bytes, new_words: Sequence[WordEvent], new_phonemes: Sequence[PhonemeEvent]) -> bool:
        batch.extend(pcm)
        words.extend(new_words)
        phonemes.extend(new_phonemes)
        return len(batch) < 2 * due_s * library.sample_rate or send_batch()

    complete = library.synthesize(text, voice, parameters, on_audio) and (not batch or send_batch())
    while unacknowledged:
        complete = acknowledged() and complete
    return complete


if __name__ == "__main__":
    main()
