"""Places the written words in espeak-ng's audio, and cuts that into chunks with the spans of their words.

espeak-ng reports where a word begins, not where it ends; a number gives several events, and weak words none
("of the" is one event). So an event opens a group of written words, which ends with the next event; the
words of a group share its phonemes in proportion to their letters. espeak-ng counts a pause as part of the
word before it; in a chunk a word ends where its sound does.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kani.core.audio.pcm import from_pcm16, leveled
from kani.core.timing.spans import spread
from kani.core.types import Span, SpeechChunk
from kani.engines.espeak.client import Pcm16
from kani.engines.espeak.native import PhonemeEvent, WordEvent
from kani_text.writing import is_unspaced, letter_count, word_spans


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


@dataclass(eq=False)
class WordGrouper:
    """Takes the events of one synthesis of ``text`` as they come, and returns completed groups in order."""

    _text: str
    _open_start: int = 0  # start of the open group, in characters
    _phonemes: list[int] = field(default_factory=list)  # those of the open group so far
    _pending: WordEvent | None = None  # the last word event, until its group is opened
    open_start_sample: int = 0  # start of the open group in the audio, in samples

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


SILENCE_LEVEL = 66
"""Largest amplitude of silence (of 32768: −54 dB)."""

KEPT_SILENCE_S = 0.03
"""Silence that stays before and after the speech, in seconds."""

CHUNK_S = 1.0
"""Least audio of a chunk, in seconds, after the first one, which is a word."""


class WordChunker:
    """Takes the audio and events of one synthesis of ``text``, and returns chunks of completed words."""

    def __init__(self, text: str, sample_rate: int, gain: float) -> None:
        """gain: that the samples are multiplied by, as ``leveled`` does."""
        self._gain = gain
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
        return SpeechChunk(leveled(from_pcm16(piece), self._gain), self._rate, start_s, tuple(spans))


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
        np.clip([first, *phonemes[1:], last], start, end).tolist()
        for (first, last), phonemes in zip(pairwise(starts), phonemes_by_word, strict=True)
    ]
