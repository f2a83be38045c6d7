"""espeak-ng's audio and word events, as they come, into chunks with spans.

A pause belongs to the word before it, for espeak-ng; here a word ends where its sound does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from engines.espeak.client import Pcm16, PhonemeEvent, WordEvent
from engines.espeak.word_groups import WordGroup, WordGrouper
from speech.timing.characters import spread
from speech.types import Span, SpeechChunk

SILENCE_LEVEL = 66
"""Samples up to this (of 32768, −54 dB) are silence."""

KEPT_SILENCE_S = 0.03
"""Silence that stays before and after the speech."""

CHUNK_S = 1.0
"""Audio in a chunk after the first, which is a word."""


class WordChunker:
    """Takes what one synthesis of ``text`` brings; gives chunks of finished words."""

    def __init__(self, text: str, sample_rate: int) -> None:
        self._grouping = WordGrouper(text)
        self._rate = sample_rate
        self._kept = round(KEPT_SILENCE_S * sample_rate)
        self._pending = np.zeros(0, np.int16)
        self._taken = 0
        self._base: int | None = None
        self._sent = 0
        self._loud_end = 0
        self._spans: list[Span] = []

    @property
    def speech_s(self) -> float:
        """Seconds of speech so far, without the silence before it."""
        return (self._taken - (self._base or 0)) / self._rate

    def feed(
        self, pcm: Pcm16, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent] = ()
    ) -> SpeechChunk | None:
        """The next samples, and what begins in or after them; a chunk, if one is due."""
        loud = _loud(pcm)
        if len(loud):
            if self._base is None:
                # All before is silence: what is kept of it may lie in earlier calls.
                self._base = self._sent = max(0, self._taken + int(loud[0]) - self._kept)
            self._loud_end = self._taken + int(loud[-1]) + 1
        self._pending = np.concatenate([self._pending, pcm])
        self._taken += len(pcm)
        for group in self._grouping.feed(words, phonemes):
            self._close(group)
        if self._base is None:
            return None
        ready = min(self._grouping.open_start_sample, self._loud_end + self._kept)
        first = self._sent == self._base
        if ready > self._sent and (first or ready - self._sent >= CHUNK_S * self._rate):
            return self._chunk(ready, last=False)
        return None

    def finish(self) -> SpeechChunk | None:
        """What is left, if it is anything."""
        if self._base is None:
            return None
        end = min(self._taken, self._loud_end + self._kept)
        for group in self._grouping.finish(end):
            self._close(group)
        return self._chunk(end, last=True) if end > self._sent or self._spans else None

    def _close(self, group: WordGroup) -> None:
        """The words of a group have been spoken."""
        # Words before any sound take no time.
        base = group.end_sample if self._base is None else self._base
        offset = self._taken - len(self._pending)
        sound = _loud(self._pending[group.start_sample - offset : group.end_sample - offset])
        start = max(group.start_sample, base)
        end = max(start, group.start_sample + (int(sound[-1]) + 1 if len(sound) else 0))
        for index, edges in enumerate(_edges(group, start, end)):
            first, last = group.words[index]
            times = [(edge - base) / self._rate for edge in edges]
            marks = spread(last - first, times) if len(times) > 2 else ()
            self._spans.append(Span(first, last, times[0], times[-1], marks))

    def _chunk(self, end: int, last: bool) -> SpeechChunk:
        base = self._base or 0
        offset = self._taken - len(self._pending)
        piece = self._pending[self._sent - offset : end - offset]
        start_s, end_s = (self._sent - base) / self._rate, (end - base) / self._rate
        going = [span for span in self._spans if last or span.start_s < end_s]
        self._spans = self._spans[len(going) :]
        self._pending = self._pending[end - offset :]
        self._sent = end
        return SpeechChunk(piece.astype(np.float32) / np.float32(32768), self._rate, start_s, tuple(going))


def _loud(pcm: Pcm16) -> npt.NDArray[np.intp]:
    """Indices of the samples that can be heard."""
    return np.flatnonzero(np.abs(pcm.astype(np.int32)) > SILENCE_LEVEL)


def _edges(group: WordGroup, start: int, end: int) -> list[list[float]]:
    """The samples at which each word of a group begins, has an inner phoneme, and ends."""
    shares = group.phonemes_by_word()
    if shares is None:
        ends = np.cumsum([0, *group.letter_counts]) / (sum(group.letter_counts) or 1) * (end - start) + start
        return [[first, last] for first, last in pairwise(ends.tolist())]
    begins = [start, *(share[0] for share in shares[1:]), end]
    return [
        [float(min(max(edge, start), end)) for edge in (first, *share[1:], last)]
        for (first, last), share in zip(pairwise(begins), shares, strict=True)
    ]
