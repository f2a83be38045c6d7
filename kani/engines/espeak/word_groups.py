"""Groups written words by espeak-ng's events, and places each word in the audio.

espeak-ng reports where a word begins, not where it ends; a number gives several events, and weak words none
("of the" is one event). So an event opens a group of written words, which ends with the next event; the
words of a group share its phonemes in proportion to their letters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kani.engines.espeak.native import PhonemeEvent, WordEvent
from kani.text.writing import is_unspaced, letter_count, word_spans


@dataclass(frozen=True, slots=True)
class WordGroup:
    """Written words that are spoken together."""

    words: tuple[tuple[int, int], ...]  # characters [start, end) of each word
    letter_counts: tuple[int, ...]  # of each word
    start_sample: int  # start in the audio, with a plosive's closure
    end_sample: int  # start of the next group, or end of the audio
    phonemes: tuple[int, ...]  # first sample of each phoneme, from ``start_sample`` on, never decreasing

    def phonemes_by_word(self) -> list[tuple[int, ...]] | None:
        """Return the phonemes of each word; None where there are fewer phonemes than words."""
        count = len(self.phonemes)
        if count < len(self.words) or not self.words:
            return None
        cuts, at, whole = [0], 0, sum(self.letter_counts)
        for index, letters in enumerate(self.letter_counts, 1):
            at += letters
            # Each word has one phoneme at least.
            left = len(self.words) - index
            cuts.append(min(max(round(at / whole * count), cuts[-1] + 1), count - left))
        return [self.phonemes[first:stop] for first, stop in pairwise(cuts)]


class WordGrouper:
    """Takes the events of one synthesis of ``text`` as they come, and returns completed groups in order."""

    def __init__(self, text: str) -> None:
        self._text = text
        # Start of the open group, in characters, and its phonemes so far.
        self._open_start = 0
        self._phonemes: list[int] = []
        # The last word event, until its group is opened.
        self._pending: WordEvent | None = None
        self.open_start_sample = 0  # start of the open group in the audio, in samples

    def feed(self, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent]) -> Iterator[WordGroup]:
        """Take the next events, each kind in the order of its samples."""
        waiting = deque(phonemes)
        for word in words:
            # A word's own phonemes have its position, and may have its sample.
            while waiting and waiting[0].position < word.position:
                yield from self._add_phoneme(waiting.popleft())
            yield from self._open(None)
            self._pending = word
        while waiting:
            yield from self._add_phoneme(waiting.popleft())

    def finish(self, end_sample: int) -> Iterator[WordGroup]:
        """Return the last groups, after the last event; ``end_sample``: end of the audio."""
        yield from self._open(None)
        yield self._close(len(self._text), end_sample)

    def _add_phoneme(self, phoneme: PhonemeEvent) -> Iterator[WordGroup]:
        if self._pending is not None and phoneme.position >= self._pending.position:
            yield from self._open(phoneme)
        self._phonemes.append(phoneme.sample)

    def _open(self, first: PhonemeEvent | None) -> Iterator[WordGroup]:
        """Open the group of the pending word event, if there is one, and close the group before it.

        first: the word's first phoneme, if it has one.
        """
        word, self._pending = self._pending, None
        if word is None:
            return
        at = self._word_start(min(max(word.position - 1, 0), len(self._text)))
        if at > self._open_start and word.sample >= self.open_start_sample:
            start = word.sample
            if first is not None and self._phonemes and self._phonemes[-1] >= start:
                # The library puts a word that begins with a vowel before the last consonant of the word
                # before.
                start = max(start, first.sample)
            yield self._close(at, start)
            self._open_start, self.open_start_sample, self._phonemes = at, start, []

    def _close(self, end: int, end_sample: int) -> WordGroup:
        """Return the open group, which ends before character ``end``."""
        words = tuple(word_spans(self._text, self._open_start, end))
        letter_counts = tuple(letter_count(self._text[first:last]) for first, last in words)
        start = min(self.open_start_sample, end_sample)
        phonemes: list[int] = []
        for sample in self._phonemes:
            phonemes.append(min(max(sample, phonemes[-1] if phonemes else start), end_sample))
        return WordGroup(words, letter_counts, start, end_sample, tuple(phonemes))

    def _word_start(self, at: int) -> int:
        """Start of the written word at ``at``; ``at`` itself in a script without spaces."""
        if is_unspaced(self._text[at : at + 1]):
            return at
        while at > 0 and not self._text[at - 1].isspace():
            at -= 1
        return at
