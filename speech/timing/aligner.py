"""The times of the words of some speech, by the way through it and a rendering of the same text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from speech.audio.pcm import Resampler
from speech.timing.cepstra import HOP, SAMPLE_RATE, Cepstra
from speech.timing.characters import spread
from speech.timing.dtw import WarpingPath
from speech.timing.reference_voice import ReferenceSpeech
from speech.types import Samples, Span

STEP_S = 0.16
"""How much more speech has to be there for the way to be sought on."""

_FRAME_S = HOP / SAMPLE_RATE
_STEP = round(STEP_S / _FRAME_S)
# By so much words are found late, measured with espeak-ng as the renderer.
_LATE_S = 0.0075
_SHORTEST_PAUSE = 5
# How speech is brought to one level is uncertain at its beginning: the way is sought anew at these columns.
_ANEW = (40, 80, 160, 320)
# Right texts came to 0.78 at most, wrong ones of the same language to 0.82 at least (71 sentences each, of
# those by which all of this was tuned); in so few columns as a word or two have nothing can be told.
_STRANGE, _TELLING = 0.80, 150
_AUDIBLE = 0.002


class Aligner:
    """Takes speech as it comes; gives its words once they are certain, each once, in order.

    Times are seconds since the speech began. All work is done in the calling thread, some 5 ms for a
    second of speech.
    """

    def __init__(self, rendered: ReferenceSpeech, sample_rate: int, look_back_s: float) -> None:
        """sample_rate: hertz of the speech; look_back_s: how far back what was found is certain.

        Raises ValueError for a rendering without a word or a sound.
        """
        if not rendered.words:
            raise ValueError("there is no word to find")
        self._resampler = Resampler(sample_rate, SAMPLE_RATE)
        self._sample_rate = sample_rate
        self._taken = 0
        self._look_back = look_back_s / _FRAME_S
        self._words = rendered.words
        self._cepstra = Cepstra()
        self._template(rendered)
        self._path = WarpingPath(self._rows, self._pauses)
        self._anew = list(_ANEW)
        # The column at which each word begins of which it is certain.
        self._starts: list[float] = []

    def _template(self, rendered: ReferenceSpeech) -> None:
        """Rows to compare with: each word's frames, and a pause before each and behind the last."""
        resampler = Resampler(rendered.sample_rate, SAMPLE_RATE)
        samples = np.concatenate([resampler.feed(rendered.samples), resampler.finish()])
        loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
        if not len(loud):
            raise ValueError("there is no sound to compare with")
        first, stop = int(loud[0]), int(loud[-1]) + 1
        said = Cepstra()
        said.feed(samples[first:stop], last=True)
        features, _ = said.features(0, len(said))
        # Which frame, with its fraction, each word and phoneme begins at.
        scale = SAMPLE_RATE / rendered.sample_rate

        def frame(sample: int) -> float:
            return min(max((sample * scale - first) / HOP, 0.0), len(features) - 1.0)

        self._rendered = [[frame(at) for at in (word.sample, *word.phonemes[1:])] for word in self._words]
        self._rendered_end = float(len(features))
        begins = [0, *(round(edges[0]) for edges in self._rendered[1:])]
        ends = [*begins[1:], len(features)]
        order: list[int] = []
        self._phonemes: list[list[int]] = []
        for edges, begin, end in zip(self._rendered, begins, ends, strict=True):
            end = max(end, begin + 1)
            order.append(-1)
            inner = (min(max(round(edge), begin), end - 1) for edge in edges[1:])
            self._phonemes.append([len(order), *(len(order) + at - begin for at in inner)])
            order += range(begin, end)
        order.append(-1)
        self._pauses = np.array(order) < 0
        self._rows = features[np.maximum(order, 0)]

    @property
    def mismatched(self) -> bool:
        """Whether the speech so far does not sound like the text."""
        return len(self._path) > 0 and self._strange(self._path.best_row())

    def _strange(self, row: int) -> bool:
        return len(self._path) >= _TELLING and self._path.relative_cost(row) > _STRANGE

    def feed(self, samples: Samples) -> list[Span]:
        """Take what follows; the words that are certain now. None while the speech is ``strange``."""
        self._taken += len(samples)
        self._cepstra.feed(self._resampler.feed(samples))
        if self._cepstra.complete_frames < len(self._path) + _STEP:
            return []
        self._advance()
        if self.mismatched:
            return []
        return self._tell(self._path.best_row(), len(self._path) - self._look_back)

    def finish(self, *, truncated: bool = False) -> tuple[list[Span], bool]:
        """Nothing follows; the words that are left, and whether the text is that of the speech.

        Where it is not, they have the times of the rendering, scaled to what is left of the speech. Less
        than 1.5 s are believed. cut_short: the speech was cut before it was over; only the words that end
        in it are told.
        """
        self._cepstra.feed(self._resampler.finish(), last=True)
        self._advance()
        if truncated:
            return (
                ([], False) if self.mismatched else (self._tell(self._path.best_row(), len(self._path)), True)
            )
        last = len(self._rows) - 1
        if self._strange(last):
            return self.scale_remaining(self._taken / self._sample_rate), False
        return self._tell(last, None), True

    def scale_remaining(self, end_s: float) -> list[Span]:
        """The words that have not been told, as in the rendering but for its length; the last ends at
        ``end_s``.
        """
        told = max(len(self._starts) - 1, 0)
        begin = self._starts[told] if self._starts else 0.0
        first = self._rendered[told][0] if self._starts else 0.0
        scale = (end_s / _FRAME_S - begin) / (self._rendered_end - first)
        edges = [[(edge - first) * scale + begin for edge in word] for word in self._rendered[told:]]
        ends = [*(word[0] for word in edges[1:]), end_s / _FRAME_S]
        return [
            self._span(index, [*inner, end], end_s)
            for index, (inner, end) in enumerate(zip(edges, ends, strict=True), told)
        ]

    def _advance(self) -> None:
        """Seek the way up to the last frame that is certain."""
        end = self._cepstra.complete_frames
        passed = sum(at <= end for at in self._anew)
        if passed:
            self._path = WarpingPath(self._rows, self._pauses)
        self._anew = self._anew[passed:]
        if end > len(self._path):
            self._path.feed(*self._cepstra.features(len(self._path), end))

    def _tell(self, row: int, latest: float | None) -> list[Span]:
        """The words that end before column ``latest`` (None: all) on the way to ``row``."""
        columns: dict[int, list[int]] = {}
        for at, column in self._path.backtrack(row, int(self._starts[-1]) if self._starts else 0):
            columns.setdefault(at, []).append(column)
        spans = []
        while (index := len(self._starts)) <= len(self._words):
            begins = self._begin(index, columns, ended=latest is None)
            if begins is None or (latest is not None and begins > latest):
                break
            if index:
                spans.append(self._ended(index - 1, begins, columns))
            self._starts.append(begins)
        if self._starts and not self._anew:
            self._path.forget(int(self._starts[-1]))
        return spans

    def _begin(self, index: int, columns: Mapping[int, Sequence[int]], ended: bool) -> float | None:
        """The column at which a word begins, or all ends behind the last; None if it is not there yet."""
        before = self._starts[-1] if self._starts else 0.0
        if index == len(self._words):
            return float(len(self._path)) if ended else None
        found = columns.get(self._phonemes[index][0])
        if found:
            return max(float(np.mean(found)), before)
        return before if ended else None

    def _ended(self, index: int, end: float, columns: Mapping[int, Sequence[int]]) -> Span:
        """A word after which the next one begins, or all ends, at column ``end``."""
        begins, rows = self._starts[index], self._phonemes[index]
        if index + 1 < len(self._words):
            # A pause that is passed over has a column too. Behind the last word engines leave none: what
            # is quiet there is its own.
            silence = len(columns.get(self._phonemes[index + 1][0] - 1, ())) - 1
            if silence >= _SHORTEST_PAUSE:
                end = max(end - silence, begins)
        inner = [float(np.mean(columns[row])) if row in columns else begins for row in rows[1:]]
        return self._span(index, [begins, *inner, end], self._taken / self._sample_rate)

    def _span(self, index: int, edges: Sequence[float], end_s: float) -> Span:
        """A word by the columns at which its phonemes begin and it ends, in speech that ends at ``end_s``."""
        word, last = self._words[index], edges[-1]
        rising = np.minimum(np.maximum.accumulate(edges), last)
        times = np.clip(rising * _FRAME_S - _LATE_S, 0.0, end_s).tolist()
        return Span(word.start, word.end, times[0], times[-1], spread(word.end - word.start, times))
