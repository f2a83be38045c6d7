"""Finds the words of a text in a whole recording: of any length, with music and silence in it.

As ``kani.core.timing.aligner``, with the reference speech of one sentence after the other, but over the whole
path: first in steps of a third of a second, in which speech and text have to agree over minutes, at last in
frames.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kani.core.timing.aligner import FRAME_S, LATENESS_S, MIN_PAUSE_FRAMES, heard, rows_of
from kani.core.timing.cepstra import SAMPLE_RATE, Cepstra, Matrix, Normalization, with_slopes
from kani.core.timing.dtw import Prices, Rows
from kani.core.timing.recording_path import BLOCK, Columns, Indices, Path, cheapest_path, near
from kani.core.timing.reference_voice import ReferenceSpeech
from kani.core.timing.spans import spread
from kani.core.types import Samples, Span

_STEPS = (8, 32)
"""Frames of a column and a row in the first search."""

_FINER = {32: 8, 8: 1}
"""Frames in the search after it."""

_MOST_CELLS = 30_000_000
"""Of the first search, unless it is the one of the longest steps."""

_MARGINS = {1: 150, 8: 4500}
"""Frames of the reference speech on either side of a coarser path."""

_PRICES = {1: Prices(), 8: Prices(0.5, 0.75), 32: Prices(0.5, 0.75)}
"""Means of frames differ less than frames, and music differs from speech."""

_SLOPES = {1: 3.0, 8: 1.0, 32: 1.0}

_SCORED = 150
"""Steps of the path by which a word is judged: fewer decide nothing."""

_LONG_PAUSE, _PAUSE_EDGE, _SILENT = 10, 2, 60.0
"""Columns of a coarse path's pause; those at its ends, where words may be heard; nepers below speech."""

_SECOND, _FEW_SECONDS, _LIVELY = 100, 10, 0.6
"""Frames; seconds that are all taken as speech; part of the liveliest seconds' changes of level."""

_AT_ONCE = 10_000
"""Cells of a path that are judged together."""

_FITS, _RANDOM = 0.72, 0.86
"""Relative costs of speech that is the text, and of any other speech."""


@dataclass(frozen=True, slots=True)
class FoundWord:
    """A word of a piece of reference speech: its characters and times, and how little it fits.

    ``loss``: 0 for the text itself, 1 for anything else.
    """

    span: Span
    loss: float


@dataclass(frozen=True, slots=True)
class _Level:
    rows: Rows
    frames: Indices  # reference frame at which each row begins
    columns: Columns

    def everywhere(self) -> list[tuple[int, int]]:
        """Return the bands of a search over everything."""
        return [(0, len(self.frames))] * -(-len(self.columns.rows) // BLOCK)


class RecordingAligner:
    """Takes the reference speech in pieces, and the recording in pieces; then ``align`` finds the words."""

    def __init__(self) -> None:
        self._pieces: list[ReferenceSpeech] = []
        self._edges: list[list[list[float]]] = []  # frames within each piece
        self._reference: list[tuple[Matrix, Matrix]] = []
        self._breaks: list[int] = []  # reference frames at which a pause is likely
        self._recording = Cepstra()
        self._heard: list[tuple[Matrix, Matrix]] = []
        self._samples = 0
        self.reference_frames = 0
        self.frames = 0

    def add_reference(self, reference: ReferenceSpeech, breaks: Iterable[int]) -> None:
        """Add the next piece; breaks: its words before which a pause is likely, the first one aside.

        Raises ValueError for reference speech without a word or a sound.
        """
        cepstra, edges = heard(reference)
        starts = {0, *(round(edges[word][0]) for word in breaks)}
        self._breaks += [self.reference_frames + start for start in sorted(starts)]
        self._pieces.append(reference)
        self._edges.append(edges)
        self._reference.append(cepstra.take())
        self.reference_frames += len(self._reference[-1][0])

    def feed(self, samples: Samples) -> None:
        """Add samples of the recording, at ``cepstra.SAMPLE_RATE``."""
        self._samples += len(samples)
        self._recording.feed(samples)
        self._heard.append(self._recording.take())
        self.frames += len(self._heard[-1][0])

    @property
    def size(self) -> int:
        """Bytes that it takes, about, once it searches."""
        return 64 * (self.frames + self.reference_frames)

    @property
    def duration_s(self) -> float:
        """Seconds of the recording."""
        return self._samples / SAMPLE_RATE

    @property
    def reference_s(self) -> float:
        """Seconds of the reference speech."""
        return self.reference_frames * FRAME_S

    def align(self) -> Generator[list[list[FoundWord]] | None]:
        """Yield None after each piece of the work, at last the words of each piece of reference speech."""
        self._recording.feed(np.zeros(0, np.float32), last=True)
        self._heard.append(self._recording.take())
        self.frames += len(self._heard[-1][0])
        reference, recording = (
            (np.concatenate([rows for rows, _ in pieces]), np.concatenate([levels for _, levels in pieces]))
            for pieces in (self._reference, self._heard)
        )
        self._heard.clear()
        ours = Normalization.of(*reference).applied(reference[0])
        lively = _lively(recording[1])
        theirs, quiet = Normalization.of(*(part[lively] for part in recording)).compared(*recording)
        step = next((n for n in _STEPS if len(theirs) * len(ours) <= _MOST_CELLS * n**2), _STEPS[-1])
        level = self._level(theirs, quiet, ours, step)
        path = yield from cheapest_path(level.rows, level.columns, level.everywhere(), _PRICES[step])
        while step > 1:
            coarse, coarse_step = level, step
            step = _FINER[step]
            if step == 1:
                theirs, quiet = self._speech_only(recording, coarse, path, coarse_step)
            level = self._level(theirs, quiet, ours, step)
            bands = near(path, coarse.frames, coarse_step, level.frames, step, len(theirs), _MARGINS[step])
            path = yield from cheapest_path(level.rows, level.columns, bands, _PRICES[step])
        yield self._words(level, path)

    def _speech_only(
        self, recording: tuple[Matrix, Matrix], level: _Level, path: Path, step: int
    ) -> tuple[Matrix, Matrix]:
        """Return the recording as its speech is compared, and as quiet where a path has long pauses.

        Whatever is heard in these: frame by frame, music fits any word.
        """
        pauses = level.rows.pauses
        spoken = np.zeros(len(level.columns.rows), np.bool_)
        spoken[path.columns[~pauses[path.rows]]] = True
        speech = np.repeat(spoken, step)[: len(recording[0])]
        theirs, quiet = Normalization.of(recording[0][speech], recording[1][speech]).compared(*recording)
        for row in np.flatnonzero(pauses):
            first, end = np.searchsorted(path.rows, [row, row + 1])
            columns = path.columns[first:end][_PAUSE_EDGE:-_PAUSE_EDGE]
            if len(columns) >= _LONG_PAUSE:
                quiet[columns[0] * step : (columns[-1] + 1) * step] = _SILENT
        return theirs, quiet

    def _level(self, theirs: Matrix, quiet: Matrix, ours: Matrix, step: int) -> _Level:
        """Return what is searched in steps of so many frames."""
        order = self._fine_order() if step == 1 else self._coarse_order(step)
        pauses = order < 0
        if step == 1:
            lengths = np.cumsum([len(rows) for rows, _ in self._reference])
            features = np.concatenate([with_slopes(rows) for rows in np.split(ours, lengths[:-1])])
            features = features[np.maximum(order, 0)]
            columns = Columns(theirs, quiet, _SLOPES[step])
        else:
            means = np.add.reduceat(ours, order[~pauses]) / np.diff([*order[~pauses], len(ours)])[:, None]
            scale = ours.std(axis=0) / means.std(axis=0)
            features = np.zeros((len(order), 2 * ours.shape[1]), np.float32)
            features[~pauses] = with_slopes(means * scale, weight=_SLOPES[step])
            starts = np.arange(0, len(theirs), step)
            counts = np.diff([*starts, len(theirs)])
            means = np.add.reduceat(theirs, starts) / counts[:, None] * scale
            hushed = np.add.reduceat(quiet, starts) / counts
            columns = Columns(means.astype(np.float32), hushed.astype(np.float32), _SLOPES[step])
        begins = np.minimum.accumulate(np.where(pauses, len(ours), order)[::-1])[::-1]
        return _Level(Rows(features.astype(np.float32), pauses), begins.astype(np.int32), columns)

    def _fine_order(self) -> Indices:
        order: list[int] = []
        frames = 0
        for edges, (rows, _) in zip(self._edges, self._reference, strict=True):
            order += (
                at if at < 0 else frames + min(at, len(rows) - 1) for at in rows_of(edges, len(rows))[0]
            )
            frames += len(rows)
        return np.array([*order, -1], np.int32)

    def _coarse_order(self, step: int) -> Indices:
        order: list[int] = []
        for begin, end in pairwise([*self._breaks, self.reference_frames]):
            if end > begin:
                order += [-1, *range(begin, end, step)]
        return np.array([*order, -1], np.int32)

    def _words(self, level: _Level, path: Path) -> list[list[FoundWord]]:
        """Return the words by the finest path."""
        count = len(level.frames)
        cells = np.bincount(path.rows, minlength=count)
        times = np.bincount(path.rows, path.columns, count) / np.maximum(cells, 1)
        score = _Score(level, path)
        words, rows = list[list[int]](), 0
        for edges, (piece, _) in zip(self._edges, self._reference, strict=True):
            order, phonemes = rows_of(edges, len(piece))
            words += [[rows + at for at in inner] for inner in phonemes]
            rows += len(order)
        begins = [*(times[inner[0]] for inner in words), float(self.frames)]
        pauses = [*(inner[0] - 1 for inner in words[1:]), count - 1]
        found = []
        for inner, end, pause in zip(words, begins[1:], pauses, strict=True):
            # A skipped pause has a column too.
            silence = int(cells[pause]) - 1
            edge_columns = [*times[inner], end - (silence if silence >= MIN_PAUSE_FRAMES else 0)]
            seconds = np.minimum(np.maximum.accumulate(edge_columns), edge_columns[-1]) * FRAME_S - LATENESS_S
            seconds = np.clip(seconds, 0.0, self.duration_s).tolist()
            found.append((seconds, score.loss(inner[0], pause)))
        at = iter(found)
        return [
            [
                FoundWord(
                    Span(
                        *(word.start, word.end, seconds[0], seconds[-1]),
                        spread(word.end - word.start, seconds),
                    ),
                    loss,
                )
                for word, (seconds, loss) in zip(reference.words, at, strict=False)
            ]
            for reference in self._pieces
        ]


def _lively(levels: Matrix) -> npt.NDArray[np.bool_]:
    """Return the frames of the seconds in which the level changes most: speech does so more than music."""
    seconds = len(levels) // _SECOND
    if seconds < _FEW_SECONDS:
        return np.ones(len(levels), np.bool_)
    changes = levels[: seconds * _SECOND].reshape(seconds, _SECOND).std(axis=1)
    lively = np.repeat(changes >= _LIVELY * np.percentile(changes, 90), _SECOND)
    return np.pad(lively, (0, len(levels) - len(lively)))


class _Score:
    """Judges parts of a path by its cost relative to that of frames that have nothing in common."""

    def __init__(self, level: _Level, path: Path) -> None:
        pauses, speech = level.rows.pauses, np.flatnonzero(~level.rows.pauses)
        diagonal = np.minimum(np.diff(path.rows, prepend=-1), np.diff(path.columns, prepend=-1)) > 0
        spoken = np.flatnonzero(~pauses[path.rows])
        self._rows = path.rows[spoken]
        costs, steps, others = (np.zeros(len(spoken) + 1) for _ in range(3))
        far = np.roll(speech, len(speech) // 2)[np.searchsorted(speech, self._rows)]
        for first in range(0, len(spoken), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            columns = path.columns[spoken[part]]
            features = level.columns.features(columns[0], columns[-1] + 1)[columns - columns[0]]
            both = diagonal[spoken[part]]
            own, other = (
                np.sqrt(np.square(features - level.rows.features[rows]).mean(axis=1))
                for rows in (self._rows[part], far[part])
            )
            costs[1:][part] = np.where(both, 2 * own, own + _PRICES[1].step)
            steps[1:][part] = both + 1
            others[1:][part] = other * (both + 1)
        self._costs, self._steps, self._others = (np.cumsum(each) for each in (costs, steps, others))

    def loss(self, first: int, end: int) -> float:
        """Return ``FoundWord.loss`` of rows [first, end), with some around them if they are few."""
        low, high = np.searchsorted(self._rows, [first, end])
        more = max(0, _SCORED - (high - low) + 1) // 2
        low, high = max(0, low - more), min(len(self._rows), high + more)
        cost, other = (sums[high] - sums[low] for sums in (self._costs, self._others))
        relative = cost / max(other, 1e-9)
        return float(np.clip((relative - _FITS) / (_RANDOM - _FITS), 0.0, 1.0))
