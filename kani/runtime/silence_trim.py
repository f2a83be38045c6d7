"""Trims a model's own silence from both ends of an audio stream."""

from dataclasses import replace

import numpy as np

from kani.core.types import Samples, Span, SpeechChunk

AUDIBLE = 0.004
"""Peak of a model's speech below which it is silence: −48 dB of full scale."""

KEPT_SILENCE_S = 0.05
"""Silence that stays before and after the speech, in seconds."""


class SilenceTrimmer:
    """Passes audio on as it comes. Silence waits until a sound follows, as it may be the trailing one."""

    def __init__(self, sample_rate: int, audible_level: float = AUDIBLE) -> None:
        """sample_rate: in hertz; audible_level: amplitude from which on a sample is a sound."""
        self._audible_level = audible_level
        self._kept = round(KEPT_SILENCE_S * sample_rate)
        self.has_sound = False
        self._waiting = np.zeros(0, np.float32)
        self.dropped = 0
        """Samples left out before the first sound; it grows until then."""

    def feed(self, samples: Samples) -> Samples:
        """Accept the next samples; returns what can be played now, up to the last sound so far.

        At most ``KEPT_SILENCE_S`` of silence stay before the first sound.
        """
        audible = np.flatnonzero(np.abs(samples) >= self._audible_level)
        held = np.concatenate([self._waiting, samples])
        if not len(audible):
            # Before the first sound no more than the kept silence can ever be needed.
            if not self.has_sound:
                self.dropped += max(len(held) - self._kept, 0)
                held = held[-self._kept :]
            self._waiting = held
            return np.zeros(0, np.float32)
        first = len(self._waiting) + int(audible[0])
        end = len(self._waiting) + int(audible[-1]) + 1
        start = 0 if self.has_sound else max(first - self._kept, 0)
        self.dropped += start
        self.has_sound = True
        self._waiting = held[end:]
        return held[start:end]

    def finish(self) -> Samples:
        """Return the end of the stream: at most ``KEPT_SILENCE_S`` of silence."""
        return self._waiting[: self._kept] if self.has_sound else np.zeros(0, np.float32)


class TrimmedSpeech:
    """Audio without the silence around the speech, in chunks with the spans of the words that end in them."""

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: in hertz."""
        self._rate = sample_rate
        self._trim = SilenceTrimmer(sample_rate)
        self._spans: list[Span] = []
        self._made = 0

    @property
    def end_s(self) -> float:
        return self._made / self._rate

    def add(self, span: Span) -> None:
        """Accept a word's span, in seconds of the audio with its silence."""
        self._spans.append(span)

    def feed(self, samples: Samples) -> SpeechChunk | None:
        """Accept audio; return what can be played now."""
        kept = self._trim.feed(samples)
        return self._chunk(kept, last=False) if len(kept) else None

    def finish(self, characters: int = 0) -> SpeechChunk:
        """Return the end of the audio, with the spans that are left: none goes beyond it.

        characters: number of a text without spans of its words; the text gets one.
        """
        last = self._chunk(self._trim.finish(), last=True)
        return replace(last, spans=(Span(0, characters, 0.0, self.end_s),)) if characters else last

    def _chunk(self, samples: Samples, *, last: bool) -> SpeechChunk:
        start_s = self.end_s
        self._made += len(samples)
        by_s, end_s = self._trim.dropped / self._rate, self.end_s
        spans = [span for span in self._spans if last or span.end_s - by_s <= end_s]
        del self._spans[: len(spans)]
        moved = (
            replace(
                span, start_s=max(span.start_s - by_s, 0.0), end_s=min(max(span.end_s - by_s, 0.0), end_s)
            )
            for span in spans
            if span.start_s - by_s < end_s
        )
        return SpeechChunk(samples, self._rate, start_s, tuple(moved))
