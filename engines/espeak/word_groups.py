"""Which written words espeak-ng speaks when, by the events that it sends with its audio.

espeak-ng tells where it begins a word, not where the word ends; a number gives several events, weak
words none ("of the" is one). So an event opens a group of written words, which ends with the next one;
the words of a group share its phonemes by their letters.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from engines.espeak.client import PhonemeEvent, WordEvent
from speech.text.words import letter_count, word_spans

_UNSPACED_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(frozen=True, slots=True)
class WordGroup:
    """Written words that are spoken together: characters [start, end) of each, and how long they are.

    start_sample: where they begin, with a plosive's closure; end_sample: where the next group does, or the
    audio ends; phonemes: where each phoneme begins, from ``start_sample`` on and never falling.
    """

    words: tuple[tuple[int, int], ...]
    letter_counts: tuple[int, ...]
    start_sample: int
    end_sample: int
    phonemes: tuple[int, ...]

    def phonemes_by_word(self) -> list[tuple[int, ...]] | None:
        """Where the phonemes of each word begin; None where there are not as many as words."""
        count = len(self.phonemes)
        if count < len(self.words) or not self.words:
            return None
        cuts, at, whole = [0], 0, sum(self.letter_counts)
        for index, weight in enumerate(self.letter_counts, 1):
            at += weight
            # Each word has one phoneme at least.
            left = len(self.words) - index
            cuts.append(min(max(round(at / whole * count), cuts[-1] + 1), count - left))
        return [self.phonemes[first:stop] for first, stop in pairwise(cuts)]


class WordGrouper:
    """Takes the events of one synthesis of ``text`` as they come; gives groups that have ended, in order."""

    def __init__(self, text: str) -> None:
        self._text = text
        # What is open is spoken from the character, and the sample, on.
        self._at = 0
        self._phonemes: list[int] = []
        self._begun: WordEvent | None = None
        self.open_start_sample = 0
        """Where the group that has not ended begins."""

    def feed(self, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent]) -> Iterator[WordGroup]:
        """Take the next events; both in the order of their samples."""
        told = deque(phonemes)
        for word in words:
            # A word's own phonemes have its position, and may have its sample.
            while told and told[0].position < word.position:
                yield from self._phoneme(told.popleft())
            yield from self._open(None)
            self._begun = word
        while told:
            yield from self._phoneme(told.popleft())

    def finish(self, end_sample: int) -> Iterator[WordGroup]:
        """The last groups, when there is no more audio."""
        yield from self._open(None)
        yield self._end(len(self._text), end_sample)

    def _phoneme(self, phoneme: PhonemeEvent) -> Iterator[WordGroup]:
        if self._begun is not None and phoneme.position >= self._begun.position:
            yield from self._open(phoneme)
        self._phonemes.append(phoneme.sample)

    def _open(self, first: PhonemeEvent | None) -> Iterator[WordGroup]:
        """Begin the group of the last word event, if that is not done, and end the one before it.

        first: its first phoneme, if it has one.
        """
        word, self._begun = self._begun, None
        if word is None:
            return
        at = self._word_start(min(max(word.position - 1, 0), len(self._text)))
        if at > self._at and word.sample >= self.open_start_sample:
            start = word.sample
            if first is not None and self._phonemes and self._phonemes[-1] >= start:
                # The library puts a vowel's word before the last consonant of the one before it.
                start = max(start, first.sample)
            yield self._end(at, start)
            self._at, self.open_start_sample, self._phonemes = at, start, []

    def _end(self, end: int, end_sample: int) -> WordGroup:
        found = tuple(word_spans(self._text, self._at, end))
        weights = tuple(letter_count(self._text[first:last]) for first, last in found)
        start = min(self.open_start_sample, end_sample)
        phonemes: list[int] = []
        for sample in self._phonemes:
            phonemes.append(min(max(sample, phonemes[-1] if phonemes else start), end_sample))
        return WordGroup(found, weights, start, end_sample, tuple(phonemes))

    def _word_start(self, at: int) -> int:
        """The start of the written word at ``at``; ``at`` itself in a script without spaces."""
        if at < len(self._text) and unicodedata.name(self._text[at], "").startswith(_UNSPACED_SCRIPTS):
            return at
        while at > 0 and not self._text[at - 1].isspace():
            at -= 1
        return at
