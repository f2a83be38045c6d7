"""Finds the times of the words of some speech by aligning it with reference speech of the same text."""

from collections.abc import Mapping, Sequence

import numpy as np

from kani.core.audio.resampling import Resampler
from kani.core.timing.cepstra import HOP, SAMPLE_RATE, Cepstra
from kani.core.timing.dtw import Rows, WarpingPath
from kani.core.timing.reference_voice import ReferenceSpeech, ReferenceWord
from kani.core.timing.spans import spread
from kani.core.types import Samples, Span

FRAME_S = HOP / SAMPLE_RATE
"""Seconds from one frame to the next of a recording."""

# Speech is aligned as it is made, for many listeners at once: with frames of 15 ms a path has less than half
# of the cells, and words are 1 ms further off in the mean.
_HOP = 3 * HOP // 2
_FRAME_S = _HOP / SAMPLE_RATE
# Systematic lateness of the words, measured with espeak-ng as the reference voice.
LATENESS_S = 0.0075
MIN_PAUSE_S = 0.05
# Level normalisation is uncertain at the beginning: the path is computed anew at these columns.
_RESTART_COLUMNS = (53, 213)
# Right texts cost 0.801 at most, wrong ones of the same language 0.832 at least (64 sentences each); fewer
# columns, of a word or two, decide nothing.
_MAX_RELATIVE_COST, _MIN_COLUMNS = 0.805, 100
_AUDIBLE = 0.002


def heard(reference: ReferenceSpeech, hop: int = HOP) -> tuple[Cepstra, list[list[float]]]:
    """Return reference speech from its first sound to its last, and where each word's phonemes begin in it.

    These are frames, with fractions; ``hop``: samples from one to the next. Raises ValueError for reference
    speech without a word or a sound.
    """
    if not reference.words:
        raise ValueError("the reference speech has no words")
    resampler = Resampler(reference.sample_rate, SAMPLE_RATE)
    samples = np.concatenate([resampler.feed(reference.samples), resampler.finish()])
    loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if not len(loud):
        raise ValueError("the reference speech has no sound")
    first, stop = int(loud[0]), int(loud[-1]) + 1
    cepstra = Cepstra(hop)
    cepstra.feed(samples[first:stop], last=True)
    scale = SAMPLE_RATE / reference.sample_rate

    def frame(sample: int) -> float:
        return min(max((sample * scale - first) / hop, 0.0), len(cepstra) - 1.0)

    return cepstra, [[frame(at) for at in (word.sample, *word.phonemes[1:])] for word in reference.words]


def rows_of(edges: Sequence[Sequence[float]], count: int) -> tuple[list[int], list[list[int]]]:
    """Return the frame of each row, -1 for a pause, and the rows at which each word's phonemes begin.

    edges: of ``heard``, which has ``count`` frames. There is a pause before each word.
    """
    begins = [0, *(round(inner[0]) for inner in edges[1:])]
    order: list[int] = []
    phonemes: list[list[int]] = []
    for inner, begin, end in zip(edges, begins, [*begins[1:], count], strict=True):
        end = max(end, begin + 1)
        order.append(-1)
        within = (min(max(round(edge), begin), end - 1) for edge in inner[1:])
        phonemes.append([len(order), *(len(order) + at - begin for at in within)])
        order += range(begin, end)
    return order, phonemes


def timed(word: ReferenceWord, edges: Sequence[float], end_s: float, frame_s: float = FRAME_S) -> Span:
    """Time a word by the columns at which its phonemes begin and it ends; ``end_s``: end of the speech."""
    rising = np.minimum(np.maximum.accumulate(edges), edges[-1])
    times = np.clip(rising * frame_s - LATENESS_S, 0.0, end_s).tolist()
    return Span(word.start, word.end, times[0], times[-1], spread(word.end - word.start, times))


class Aligner:
    """Accepts speech in pieces; returns its words once their times are final, each once, in order.

    Times are in seconds since the speech began. All work is done in the calling thread: some 7 ms per second
    of speech that is fed in pieces of 0.3 s, more in shorter ones.
    """

    def __init__(self, reference: ReferenceSpeech, sample_rate: int, look_back_s: float) -> None:
        """Raises ValueError for reference speech without a word or a sound.

        sample_rate: hertz of the speech; look_back_s: distance from the end at which the path is final.
        """
        self._resampler = Resampler(sample_rate, SAMPLE_RATE)
        self._sample_rate = sample_rate
        self._samples_fed = 0
        self._look_back = look_back_s / _FRAME_S
        self._words = reference.words
        self._cepstra = Cepstra(_HOP)
        template, self._edges = heard(reference, _HOP)
        self._end = len(template)
        # The frames of each word, and a pause before each and after the last.
        order, self._phonemes = rows_of(self._edges, self._end)
        features, _ = template.features(0, self._end)
        self._rows = Rows(features[np.maximum([*order, -1], 0)], np.array([*order, -1]) < 0)
        self._path = WarpingPath(self._rows)
        self._restarts = list(_RESTART_COLUMNS)
        self._starts: list[float] = []  # column at which each word with a final time begins

    @property
    def mismatched(self) -> bool:
        """The speech so far does not sound like the text."""
        return len(self._path) > 0 and self._mismatched_at(self._path.best_row())

    def _mismatched_at(self, row: int) -> bool:
        return len(self._path) >= _MIN_COLUMNS and self._path.relative_cost(row) > _MAX_RELATIVE_COST

    def feed(self, samples: Samples) -> list[Span]:
        """Accept samples; returns the words with times that are final now, none while ``mismatched``."""
        self._samples_fed += len(samples)
        self._cepstra.feed(self._resampler.feed(samples))
        self._advance()
        if not len(self._path) or self.mismatched:
            return []
        return self._final_words(self._path.best_row(), len(self._path) - self._look_back)

    def finish(self, *, truncated: bool = False) -> tuple[list[Span], bool]:
        """End the speech; returns the remaining words, and False if the speech does not match the text.

        Where it does not match, the words have the times of the reference speech, scaled to what is left of
        the speech. Speech under 1.5 s is taken to match. truncated: the speech was cut off; only words that
        end in it are returned.
        """
        self._cepstra.feed(self._resampler.finish(), last=True)
        self._advance()
        if truncated:
            if self.mismatched:
                return [], False
            return self._final_words(self._path.best_row(), len(self._path)), True
        last = len(self._rows.pauses) - 1
        if self._mismatched_at(last):
            return self.scale_remaining(self._samples_fed / self._sample_rate), False
        return self._final_words(last, None), True

    def scale_remaining(self, end_s: float) -> list[Span]:
        """The remaining words with the reference speech's times, scaled to end at ``end_s``."""
        done = max(len(self._starts) - 1, 0)
        begin = self._starts[done] if self._starts else 0.0
        first = self._edges[done][0] if self._starts else 0.0
        scale = (end_s / _FRAME_S - begin) / (self._end - first)
        edges = [[(edge - first) * scale + begin for edge in word] for word in self._edges[done:]]
        ends = [*(word[0] for word in edges[1:]), end_s / _FRAME_S]
        return [
            timed(self._words[index], [*inner, end], end_s, _FRAME_S)
            for index, (inner, end) in enumerate(zip(edges, ends, strict=True), done)
        ]

    def _advance(self) -> None:
        """Extend the path to the last frame with complete features."""
        end = self._cepstra.complete_frames
        passed = sum(at <= end for at in self._restarts)
        if passed:
            self._path = WarpingPath(self._rows)
        self._restarts = self._restarts[passed:]
        if end > len(self._path):
            self._path.feed(*self._cepstra.features(len(self._path), end))

    def _final_words(self, row: int, latest: float | None) -> list[Span]:
        """The words that end before column ``latest`` (None: all) on the path to ``row``."""
        columns: dict[int, list[int]] = {}
        for at, column in self._path.backtrack(row, int(self._starts[-1]) if self._starts else 0):
            columns.setdefault(at, []).append(column)
        spans = []
        while (index := len(self._starts)) <= len(self._words):
            begins = self._word_begin(index, columns, ended=latest is None)
            if begins is None or (latest is not None and begins > latest):
                break
            if index:
                spans.append(self._finished_word(index - 1, begins, columns))
            self._starts.append(begins)
        if self._starts and not self._restarts:
            self._path.forget(int(self._starts[-1]))
        return spans

    def _word_begin(self, index: int, columns: Mapping[int, Sequence[int]], ended: bool) -> float | None:
        """Column at which a word begins, or the end after the last word; None if it is not reached yet."""
        before = self._starts[-1] if self._starts else 0.0
        if index == len(self._words):
            return float(len(self._path)) if ended else None
        found = columns.get(self._phonemes[index][0])
        if found:
            return max(float(np.mean(found)), before)
        return before if ended else None

    def _finished_word(self, index: int, end: float, columns: Mapping[int, Sequence[int]]) -> Span:
        """A word after which the next one begins, or all ends, at column ``end``."""
        begins, rows = self._starts[index], self._phonemes[index]
        if index + 1 < len(self._words):
            # A skipped pause has a column too. Engines leave no pause after the last word: quiet sound there
            # is the word's own.
            silence = len(columns.get(self._phonemes[index + 1][0] - 1, ())) - 1
            if silence * _FRAME_S >= MIN_PAUSE_S:
                end = max(end - silence, begins)
        inner = [float(np.mean(columns[row])) if row in columns else begins for row in rows[1:]]
        return timed(
            self._words[index], [begins, *inner, end], self._samples_fed / self._sample_rate, _FRAME_S
        )
