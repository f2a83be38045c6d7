"""From the messages of one stream to chunks of speech with the spans of its words."""

from __future__ import annotations

import numpy as np

from engines.elevenlabs.messages import SAMPLE_RATE, Message
from engines.elevenlabs.times import CharacterTimes
from engines.silence_trim import KEPT_SILENCE_S, SilenceTrimmer
from speech.types import Samples, Span, SpeechChunk

AUDIBLE_LEVEL = 0.002
"""A sample's size from which on it is a sound."""


class AudioReceiver:
    """What is heard of one stream, from its first sound on. ``times`` is told the text that was sent."""

    def __init__(self) -> None:
        self.times = CharacterTimes()
        self.mismatched_alignments = 0
        """Alignments that told of other text than was sent."""
        self._half = b""
        self._trim = SilenceTrimmer(SAMPLE_RATE, AUDIBLE_LEVEL)
        self._came = 0
        self._left_out: int | None = None
        self._heard = 0

    @property
    def has_sound(self) -> bool:
        """Whether a sound was heard."""
        return self._left_out is not None

    def feed(self, message: Message) -> SpeechChunk | None:
        """The chunk that a message makes, if it does."""
        if message.alignment is not None and not self.times.add_alignment(
            message.alignment, self._came / SAMPLE_RATE
        ):
            self.mismatched_alignments += 1
        samples = self._samples(message.audio)
        if not self.has_sound and len(sounds := np.flatnonzero(np.abs(samples) >= AUDIBLE_LEVEL)):
            self._left_out = max(self._came + int(sounds[0]) - round(KEPT_SILENCE_S * SAMPLE_RATE), 0)
        self._came += len(samples)
        heard = self._trim.feed(samples)
        if not self.has_sound:
            return None
        until_s = (self._heard + len(heard)) / SAMPLE_RATE
        return self._chunk(heard, self.times.words(until_s + self._left_out_s))

    def finish(self) -> SpeechChunk | None:
        """The last chunk, once nothing more will come; None where nothing was heard."""
        if not self.has_sound:
            return None
        rest = self._trim.finish()
        end_s = (self._heard + len(rest)) / SAMPLE_RATE
        return self._chunk(rest, self.times.finish(end_s + self._left_out_s))

    @property
    def _left_out_s(self) -> float:
        """Seconds of silence before the speech that are not heard."""
        return (self._left_out or 0) / SAMPLE_RATE

    def _samples(self, audio: bytes) -> Samples:
        """The samples that are whole; half a one waits for the next message."""
        pcm = self._half + audio
        whole = len(pcm) // 2 * 2
        self._half = pcm[whole:]
        return np.frombuffer(pcm[:whole], "<i2").astype(np.float32) / np.float32(32768)

    def _chunk(self, samples: Samples, words: list[Span]) -> SpeechChunk | None:
        if not len(samples) and not words:
            return None
        start_s = self._heard / SAMPLE_RATE
        self._heard += len(samples)
        spans = tuple(self._as_heard(word) for word in words)
        return SpeechChunk(samples, SAMPLE_RATE, start_s, spans)

    def _as_heard(self, word: Span) -> Span:
        start_s, end_s, *marks = (
            max(time_s - self._left_out_s, 0.0)
            for time_s in (word.start_s, word.end_s, *word.character_starts)
        )
        return Span(word.start, word.end, start_s, end_s, tuple(marks))
