"""When each word is said, for engines that do not tell: by comparing their speech with a voice that does.

The voice (a ``Renderer``) says the same text, robotic but with the sample of each phoneme, and the cheapest
way through both recordings (``alignment_path``) brings its times over. While speech is still being made,
what is more than ``LOOK_BACK_S`` behind it is taken for certain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from speech.alignment_features import HOP, RATE, Cepstra
from speech.alignment_path import Path
from speech.audio import Resampler
from speech.characters import spread
from speech.types import Samples, Span

LOOK_BACK_S = 0.4
"""How far behind the last sample a word has to begin to be told."""

_FRAME_S = HOP / RATE
# By so much words are found late, on average; measured on the voice that is compared with, espeak-ng.
_LATE_S = 0.0075
_SHORTEST_PAUSE = 5
# The mean and the spread of speech are uncertain at its beginning: the way is sought anew at these columns.
_ANEW = (20, 40, 80, 160, 320)
_STEP_COLUMNS = 16
# What a step costs at most where text and speech belong together.
_STRANGE = 9.9
_AUDIBLE = 0.002


@dataclass(frozen=True, slots=True)
class RenderedWord:
    """Characters [start, end) of a text, said from ``sample`` on; phonemes: where each of them begins."""

    start: int
    end: int
    sample: int
    phonemes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A text as a voice says it that tells where each word begins; mono samples at ``sample_rate`` hertz."""

    samples: Samples
    sample_rate: int
    words: tuple[RenderedWord, ...]


class Renderer(Protocol):
    """A voice that tells where each word begins."""

    async def render(self, text: str, language: str, speed: float) -> Rendered:
        """Say ``text``; language: BCP 47; speed: 1.0 is normal, as near to it as it can.

        Raises EngineFailed and UnsupportedLanguage.
        """


class Aligner:
    """Takes speech as it comes, at ``alignment_features.RATE``; gives its words once they are certain.

    In the thread that asks: some 5 ms for a second.
    """

    def __init__(self, rendered: Rendered, look_back_s: float = LOOK_BACK_S) -> None:
        """Raises ValueError for a rendering without a word or a sound."""
        self._look_back = look_back_s / _FRAME_S
        self._words = rendered.words
        self._cepstra = Cepstra()
        self._template(rendered)
        self._path = Path(self._rows, self._pauses)
        self._anew = list(_ANEW)
        # The column at which each word begins of which it is certain.
        self._starts: list[float] = []

    def _template(self, rendered: Rendered) -> None:
        resampler = Resampler(rendered.sample_rate, RATE)
        samples = np.concatenate([resampler.feed(rendered.samples), resampler.finish()])
        loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
        if not len(loud) or not rendered.words:
            raise ValueError("nothing to compare with")
        first, stop = int(loud[0]), int(loud[-1]) + 1
        said = Cepstra()
        said.feed(samples[first:stop], last=True)
        features, _ = said.features(0, len(said))

        def frame(sample: int) -> int:
            at = round((sample * RATE / rendered.sample_rate - first) / HOP)
            return min(max(at, 0), len(features) - 1)

        begins = [0, *(frame(word.sample) for word in rendered.words[1:])]
        ends = [*begins[1:], len(features)]
        order: list[int] = []
        self._first: list[int] = []
        self._phonemes: list[list[int]] = []
        for word, begin, end in zip(rendered.words, begins, ends, strict=True):
            # A pause before each word, and at least one frame of it.
            end = max(end, begin + 1)
            order.append(-1)
            self._first.append(len(order))
            inner = (min(max(frame(sample), begin), end - 1) for sample in word.phonemes[1:])
            self._phonemes.append([len(order), *(len(order) + at - begin for at in inner)])
            order += range(begin, end)
        order.append(-1)
        self._pauses = np.array(order) < 0
        self._rows = features[np.maximum(order, 0)]

    def feed(self, samples: Samples) -> list[Span]:
        """Take what follows; the words that are certain now."""
        self._cepstra.feed(samples)
        if self._cepstra.certain - len(self._path) < _STEP_COLUMNS:
            return []
        self._advance()
        return self._tell(self._path.nearest(), len(self._path) - self._look_back)

    def finish(self) -> list[Span]:
        """Nothing follows; the words that are left."""
        self._cepstra.feed(np.zeros(0, np.float32), last=True)
        self._advance()
        return self._tell(len(self._rows) - 1, float("inf"))

    def _advance(self) -> None:
        end = self._cepstra.certain
        passed = [at for at in self._anew if at <= end]
        if passed and not self._starts:
            self._path = Path(self._rows, self._pauses)
        self._anew = self._anew[len(passed) :]
        if end > len(self._path):
            self._path.feed(*self._cepstra.features(len(self._path), end))

    def _tell(self, row: int, latest: float) -> list[Span]:
        """The words that end before column ``latest``, by the way to ``row`` in the last column."""
        if not len(self._path):
            return []
        ended = latest == float("inf")
        columns: dict[int, list[int]] = {}
        for at, column in self._path.back(row, int(self._starts[-1]) if self._starts else 0):
            columns.setdefault(at, []).append(column)
        spans = []
        while (index := len(self._starts)) <= len(self._words):
            earliest = self._starts[-1] if self._starts else 0.0
            last = index == len(self._words)
            begins = float(len(self._path)) if last else earliest
            if not last and (found := columns.get(self._first[index])):
                begins = max(float(np.mean(found)), earliest)
            elif not ended:
                break
            if begins > latest:
                break
            if index:
                pause = len(columns.get(self._first[index] - 1 if not last else len(self._rows) - 1, ())) - 1
                ends = max(begins - (pause if pause >= _SHORTEST_PAUSE else 0), earliest)
                spans.append(self._span(index - 1, ends, columns))
            self._starts.append(begins)
        if self._starts:
            self._path.forget(int(self._starts[-1]))
        return spans

    def _span(self, index: int, ends: float, columns: dict[int, list[int]]) -> Span:
        word, edges = self._words[index], [self._starts[index]]
        for row in self._phonemes[index][1:]:
            at = float(np.mean(columns[row])) if row in columns else edges[-1]
            edges.append(min(max(at, edges[-1]), ends))
        times = [max(edge * _FRAME_S - _LATE_S, 0.0) for edge in (*edges, ends)]
        return Span(word.start, word.end, times[0], times[-1], spread(word.end - word.start, times))
