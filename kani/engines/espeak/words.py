"""Cuts espeak-ng's audio into chunks with the spans of their words.

espeak-ng counts a pause as part of the word before it; here a word ends where its sound does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kani.core.audio.pcm import from_pcm16
from kani.core.timing.characters import spread
from kani.core.types import Span, SpeechChunk
from kani.engines.espeak.client import Pcm16
from kani.engines.espeak.native import PhonemeEvent, WordEvent
from kani.engines.espeak.word_groups import WordGroup, WordGrouper

SILENCE_LEVEL = 66
"""Largest amplitude of silence (of 32768: −54 dB)."""

KEPT_SILENCE_S = 0.03
"""Silence that stays before and after the speech, in seconds."""

CHUNK_S = 1.0
"""Least audio of a chunk, in seconds, after the first one, which is a word."""


class WordChunker:
    """Takes the audio and events of one synthesis of ``text``, and returns chunks of completed words."""

    def __init__(self, text: str, sample_rate: int) -> None:
        self._grouper = WordGrouper(text)
        self._rate = sample_rate
        self._kept = round(KEPT_SILENCE_S * sample_rate)
        # Samples that were received, and those at their end that are still needed.
        self._received = 0
        self._pending = np.zeros(0, np.int16)
        # Sample at which the first chunk begins; None before the first sound.
        self._base: int | None = None
        self._sent = 0
        self._sound_end = 0
        self._spans: list[Span] = []

    @property
    def speech_s(self) -> float:
        """Seconds of speech so far, without the silence before it."""
        return (self._received - (self._base or 0)) / self._rate

    def feed(
        self, pcm: Pcm16, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent] = ()
    ) -> SpeechChunk | None:
        """Take the next samples, and the events that begin in or after them; returns a chunk if it is due."""
        sounds = _sounds(pcm)
        if len(sounds):
            if self._base is None:
                # Everything before is silence; the kept part of it may have come with earlier calls.
                self._base = self._sent = max(0, self._received + int(sounds[0]) - self._kept)
            self._sound_end = self._received + int(sounds[-1]) + 1
        self._pending = np.concatenate([self._pending, pcm])
        self._received += len(pcm)
        for group in self._grouper.feed(words, phonemes):
            self._add_spans(group)
        if self._base is None:
            return None
        ready = min(self._grouper.open_start_sample, self._sound_end + self._kept)
        first = self._sent == self._base
        if ready > self._sent and (first or ready - self._sent >= CHUNK_S * self._rate):
            return self._chunk(ready, last=False)
        return None

    def finish(self) -> SpeechChunk | None:
        if self._base is None:
            return None
        end = min(self._received, self._sound_end + self._kept)
        for group in self._grouper.finish(end):
            self._add_spans(group)
        return self._chunk(end, last=True) if end > self._sent or self._spans else None

    def _add_spans(self, group: WordGroup) -> None:
        # Words before any sound take no time.
        base = group.end_sample if self._base is None else self._base
        offset = self._received - len(self._pending)
        sounds = _sounds(self._pending[group.start_sample - offset : group.end_sample - offset])
        start = max(group.start_sample, base)
        end = max(start, group.start_sample + (int(sounds[-1]) + 1 if len(sounds) else 0))
        for index, edges in enumerate(_edges(group, start, end)):
            first, last = group.words[index]
            times = [(edge - base) / self._rate for edge in edges]
            character_starts = spread(last - first, times) if len(times) > 2 else ()
            self._spans.append(Span(first, last, times[0], times[-1], character_starts))

    def _chunk(self, end: int, last: bool) -> SpeechChunk:
        """Return the audio up to sample ``end``, with the spans that begin in it; all spans if ``last``."""
        base = self._base or 0
        offset = self._received - len(self._pending)
        piece = self._pending[self._sent - offset : end - offset]
        start_s, end_s = (self._sent - base) / self._rate, (end - base) / self._rate
        spans = [span for span in self._spans if last or span.start_s < end_s]
        self._spans = self._spans[len(spans) :]
        self._pending = self._pending[end - offset :]
        self._sent = end
        return SpeechChunk(from_pcm16(piece), self._rate, start_s, tuple(spans))


def _sounds(pcm: Pcm16) -> npt.NDArray[np.intp]:
    """Return the indices of the samples above ``SILENCE_LEVEL``."""
    return np.flatnonzero(np.abs(pcm.astype(np.int32)) > SILENCE_LEVEL)


def _edges(group: WordGroup, start: int, end: int) -> list[list[float]]:
    """Return for each word of a group its first sample, the starts of its further phonemes, and its end."""
    phonemes_by_word = group.phonemes_by_word()
    if phonemes_by_word is None:
        whole = sum(group.letter_counts) or 1
        ends = np.cumsum([0, *group.letter_counts]) / whole * (end - start) + start
        return [[first, last] for first, last in pairwise(ends.tolist())]
    starts = [start, *(phonemes[0] for phonemes in phonemes_by_word[1:]), end]
    return [
        [float(min(max(edge, start), end)) for edge in (first, *phonemes[1:], last)]
        for (first, last), phonemes in zip(pairwise(starts), phonemes_by_word, strict=True)
    ]
