"""espeak-ng's audio and word events, as they come, into chunks with spans.

espeak-ng tells where it begins a word, not where the word ends; a number gives several events, weak
words none ("of the" is one), and a pause belongs to the word before it. So a word ends where its
sound does, and words that share an event share its time by their letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engines.espeak_library import Pcm16, WordEvent
from speech.types import Span, SpeechChunk

QUIET = 66
"""Samples up to this (of 32768, −54 dB) are silence."""

KEPT_SILENCE_S = 0.03
"""Silence that stays before and after the speech."""

CHUNK_S = 1.0
"""Audio in a chunk after the first, which is a word."""

_UNSPACED_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
_SPOKEN_PUNCTUATION = "#@%&"


class WordChunker:
    """Takes what one synthesis of ``text`` brings; gives chunks of finished words."""

    def __init__(self, text: str, sample_rate: int) -> None:
        self._text = text
        self._rate = sample_rate
        self._kept = round(KEPT_SILENCE_S * sample_rate)
        self._pending = np.zeros(0, np.int16)
        self._taken = 0
        self._base: int | None = None
        self._sent = 0
        self._loud_end = 0
        # The words from this character on began at this sample, and have not ended.
        self._open_at = 0
        self._open_sample = 0
        self._spans: list[Span] = []

    @property
    def taken_s(self) -> float:
        """Seconds of speech so far, without the silence before it."""
        return (self._taken - (self._base or 0)) / self._rate

    def feed(self, pcm: Pcm16, words: Sequence[WordEvent]) -> SpeechChunk | None:
        """The next samples, and the words that begin in or after them; a chunk, if one is due."""
        loud = _loud(pcm)
        if len(loud):
            if self._base is None:
                # All before is silence: what is kept of it may lie in earlier calls.
                self._base = self._sent = max(0, self._taken + int(loud[0]) - self._kept)
            self._loud_end = self._taken + int(loud[-1]) + 1
        self._pending = np.concatenate([self._pending, pcm])
        self._taken += len(pcm)
        for word in words:
            self._begin(word)
        if self._base is None:
            return None
        ready = min(self._open_sample, self._loud_end + self._kept)
        first = self._sent == self._base
        if ready > self._sent and (first or ready - self._sent >= CHUNK_S * self._rate):
            return self._chunk(ready, last=False)
        return None

    def finish(self) -> SpeechChunk | None:
        """What is left, if it is anything."""
        if self._base is None:
            return None
        end = min(self._taken, self._loud_end + self._kept)
        self._close(len(self._text), end)
        return self._chunk(end, last=True) if end > self._sent or self._spans else None

    def _begin(self, word: WordEvent) -> None:
        at = self._word_start(min(max(word.position - 1, 0), len(self._text)))
        if at > self._open_at and word.sample >= self._open_sample:
            self._close(at, word.sample)
            self._open_at, self._open_sample = at, word.sample

    def _word_start(self, at: int) -> int:
        """The start of the written word at ``at``; ``at`` itself in a script without spaces."""
        if at < len(self._text) and unicodedata.name(self._text[at], "").startswith(_UNSPACED_SCRIPTS):
            return at
        while at > 0 and not self._text[at - 1].isspace():
            at -= 1
        return at

    def _close(self, end: int, end_sample: int) -> None:
        """The written words between what is open and ``end`` are spoken until ``end_sample``."""
        found = _written_words(self._text, self._open_at, end)
        # Words before any sound take no time.
        base = end_sample if self._base is None else self._base
        offset = self._taken - len(self._pending)
        start_sample = min(self._open_sample, end_sample)
        sound = _loud(self._pending[start_sample - offset : end_sample - offset])
        sound_end = start_sample + (int(sound[-1]) + 1 if len(sound) else 0)
        start_s = max(0, start_sample - base) / self._rate
        end_s = max(start_s, (sound_end - base) / self._rate)
        weights = [_letters(self._text[first:last]) for first, last in found]
        edges = np.cumsum([0, *weights]) / (sum(weights) or 1) * (end_s - start_s) + start_s
        self._spans.extend(
            Span(first, last, float(edges[index]), float(edges[index + 1]))
            for index, (first, last) in enumerate(found)
        )

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
    return np.flatnonzero(np.abs(pcm.astype(np.int32)) > QUIET)


def _written_words(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """What stands between spaces in ``text[start:end]``, without the punctuation around it."""
    words = []
    for match in re.finditer(r"\S+", text[start:end]):
        first, last = start + match.start(), start + match.end()
        while first < last and _silent(text[first]):
            first += 1
        while last > first and _silent(text[last - 1]):
            last -= 1
        if first < last:
            words.append((first, last))
    return words


def _silent(character: str) -> bool:
    return unicodedata.category(character)[0] in "PC" and character not in _SPOKEN_PUNCTUATION


def _letters(word: str) -> int:
    return max(1, sum(1 for character in word if character.isalnum()))
