"""Turns the messages of one stream into chunks of speech with the spans of its words."""

from __future__ import annotations

from kani.core.audio.pcm import Pcm16Stream
from kani.core.types import Samples, Span, SpeechChunk
from kani.engines.elevenlabs.messages import SAMPLE_RATE, Message
from kani.engines.elevenlabs.times import CharacterTimes
from kani.runtime.silence_trim import SilenceTrimmer

AUDIBLE_LEVEL = 0.002
"""Amplitude from which on a sample is a sound."""


class AudioReceiver:
    """Receives one stream, trims its silence, and places its words; ``times`` takes the text that is sent."""

    def __init__(self) -> None:
        self.times = CharacterTimes()
        self.mismatched_alignments = 0  # alignments of text that was not sent
        self._pcm = Pcm16Stream()
        self._trimmer = SilenceTrimmer(SAMPLE_RATE, AUDIBLE_LEVEL)
        self._received = 0
        self._emitted = 0

    @property
    def has_sound(self) -> bool:
        return self._trimmer.has_sound

    def feed(self, message: Message) -> SpeechChunk | None:
        """Accept a message; returns the chunk that it completes, if any."""
        if message.alignment is not None and not self.times.add_alignment(
            message.alignment, self._received / SAMPLE_RATE
        ):
            self.mismatched_alignments += 1
        samples = self._pcm.feed(message.audio)
        self._received += len(samples)
        trimmed = self._trimmer.feed(samples)
        if not self.has_sound:
            return None
        until_s = (self._emitted + len(trimmed)) / SAMPLE_RATE
        return self._chunk(trimmed, self.times.words(until_s + self._trimmed_s))

    def finish(self) -> SpeechChunk | None:
        """Return the last chunk, after the last message; None where there was no sound."""
        if not self.has_sound:
            return None
        rest = self._trimmer.finish()
        end_s = (self._emitted + len(rest)) / SAMPLE_RATE
        return self._chunk(rest, self.times.finish(end_s + self._trimmed_s))

    @property
    def _trimmed_s(self) -> float:
        """Seconds of silence that were cut off before the speech."""
        return self._trimmer.dropped / SAMPLE_RATE

    def _chunk(self, samples: Samples, words: list[Span]) -> SpeechChunk | None:
        if not len(samples) and not words:
            return None
        start_s = self._emitted / SAMPLE_RATE
        self._emitted += len(samples)
        spans = tuple(self._shifted(word) for word in words)
        return SpeechChunk(samples, SAMPLE_RATE, start_s, spans)

    def _shifted(self, word: Span) -> Span:
        """Count the times of ``word`` from the start of the trimmed audio."""
        start_s, end_s, *starts = (
            max(time_s - self._trimmed_s, 0.0)
            for time_s in (word.start_s, word.end_s, *word.character_starts)
        )
        return Span(word.start, word.end, start_s, end_s, tuple(starts))
