"""Finds the words of a text in a whole recording: of any length, with music and silence in it.

As ``kani.core.timing.aligner``, with the reference speech of one sentence after the other, but over the whole
path: first in steps of a third of a second, in which speech and text have to agree over minutes, at last in
frames. What has no voice may be a pause, however loud: frame by frame, music and noise fit any word.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
import numpy.typing as npt

from kani.core.errors import InvalidRequest
from kani.core.recognizer import VOICE_CHUNK_S
from kani.core.timing.aligner import FRAME_S, MIN_PAUSE_S, heard, rows_of, timed
from kani.core.timing.cepstra import SAMPLE_RATE, Cepstra, Matrix, Normalization, with_slopes
from kani.core.timing.dtw import Prices, Rows
from kani.core.timing.recording_path import BLOCK, Columns, Indices, Path, cheapest_path, near
from kani.core.timing.reference_voice import ReferenceSpeech, ReferenceWord
from kani.core.types import Samples, Span

_CELLS, _PARTS, _LONGEST = 1500, 6, 4500
"""Spoken cells of a part of the path, parts that are judged, and frames of one with the pauses in it."""

_TEXT_FITS, _TEXT_RANDOM = 0.77, 1.0
"""Relative costs of speech that is the text, and of any other speech."""


def loss_of(rows: Rows, columns: Columns, path: Path, prices: Prices) -> Generator[None, None, float | None]:
    """Return 0 for the text of a recording to 1 for any other, None where pauses are too long to tell.

    It is judged by parts of ``path``, and by paths of the same sounds in another order: noise, a telephone's
    band and a voice like the reference's change the costs of all of these alike. Yields after each piece of
    the work.
    """
    spoken = np.flatnonzero(~rows.pauses[path.rows])
    parts = np.array_split(spoken, max(1, len(spoken) // _CELLS))
    ratios = []
    for at in np.unique(np.linspace(0, len(parts) - 1, _PARTS).round().astype(int)):
        cells = slice(parts[at][0], parts[at][-1] + 1)
        own = Path(path.rows[cells], path.columns[cells])
        first, end = own.columns[0], own.columns[-1] + 1
        if end - first > _LONGEST:
            continue
        heard = Columns(columns.rows[first:end], columns.quiet[first:end], columns.slope)
        said = rows.part(own.rows[0], own.rows[-1] + 1)
        cost = _cost(said, heard, Path(own.rows - own.rows[0], own.columns - first), prices)
        for other in (_reversed(said), _swapped(said)):
            bands = [(0, len(other.pauses))] * -(-len(heard.rows) // BLOCK)
            found = yield from cheapest_path(other, heard, bands, prices)
            ratios.append(cost / max(_cost(other, heard, found, prices), 1e-9))
    return (
        float(np.clip((np.mean(ratios) - _TEXT_FITS) / (_TEXT_RANDOM - _TEXT_FITS), 0.0, 1.0))
        if ratios
        else None
    )


def _cost(rows: Rows, columns: Columns, path: Path, prices: Prices) -> float:
    """Return the mean cost of a path's cells that are no pause."""
    features = columns.features(0, len(columns.rows))[path.columns]
    own = np.sqrt(np.square(features - rows.features[path.rows]).mean(axis=1))
    both = np.minimum(np.diff(path.rows, prepend=-1), np.diff(path.columns, prepend=-1)) > 0
    return float(np.where(both, 2 * own, own + prices.step)[~rows.pauses[path.rows]].mean())


def _reversed(rows: Rows) -> Rows:
    turned = rows.features[::-1].copy()
    turned[:, turned.shape[1] // 2 :] *= -1  # the slopes
    return _between_pauses(turned, rows.pauses[::-1])


def _swapped(rows: Rows) -> Rows:
    """Return the second half of the words before the first."""
    middle = len(rows.pauses) // 2
    pauses = np.flatnonzero(rows.pauses)
    # A path begins with one pause.
    by = -1 - (pauses[np.abs(pauses - middle).argmin()] if len(pauses) else middle)
    return _between_pauses(np.roll(rows.features, by, axis=0), np.roll(rows.pauses, by))


def _between_pauses(features: Matrix, pauses: npt.NDArray[np.bool_]) -> Rows:
    return Rows(np.pad(features, ((1, 1), (0, 0))), np.pad(pauses, 1, constant_values=True))


_FINER = {32: 8, 8: 1}
"""Frames of a column and a row in a search, and in the one after it."""

MAX_UNSAID_S = 3600.0
"""Seconds of the reference speech that one place of the recording may lack: all of it is searched at once."""

_MOST_CELLS = 30_000_000
"""Of a first search that is not the one of the longest steps."""

_MARGINS = {1: 150, 8: 4500}
"""Frames of the reference speech on either side of a coarser path."""

_PRICES = {1: Prices(), 8: Prices(0.5, 0.75), 32: Prices(0.5, 0.75)}
"""Means of frames differ less than frames, and music differs from speech."""

_SLOPES = {1: 3.0, 8: 1.0, 32: 1.0}

_SCORED = 150
"""Steps of the path that a word is judged from: fewer decide nothing."""

_VOICE, _EDGE_CHUNKS = 0.3, 2
"""Least probability of a voice where there may be speech; chunks on either side that may have some, too."""

_FEWEST = 0.05
"""Least share of the reference speech's length, or of the recording's, in which a voice is heard: less is no
voice. With 0.25 one sentence of a text's five, between music, is not found."""

_SILENT = 60.0
"""Nepers below speech of what has no voice."""

_AT_ONCE = 10_000
"""Cells of a path that are judged together."""

_WORD_FITS, _WORD_RANDOM = 0.72, 0.86
"""Relative costs of speech that is the text, and of any other speech."""


FoundWord = tuple[Span, float]
"""A word's characters in its piece of reference speech and times, and its loss: 0 for the text itself, 1 for
anything else."""


@dataclass(frozen=True, slots=True)
class _Level:
    rows: Rows
    frames: Indices  # reference frame at which each row begins
    columns: Columns


class RecordingAligner:
    """Takes the reference speech in pieces, and the recording in pieces; then ``align`` finds the words."""

    def __init__(self, voices: Callable[[Samples], list[float]]) -> None:
        """voices: returns the probability of a voice in each ``VOICE_CHUNK_S`` of the next samples."""
        self._hear_voices = voices
        self._voices: list[float] = []
        self._pieces: list[tuple[ReferenceWord, ...]] = []
        self._ends: list[int] = []  # reference frames up to the end of each piece
        self._reference: list[tuple[Matrix, Matrix]] = []
        self._breaks: list[int] = []  # reference frames at which a pause is likely
        self._order: list[Indices] = []  # reference frame of each row of the last search, -1 of a pause
        self._rows = 0
        self._phonemes: list[list[int]] = []  # rows at which those of each word begin
        self._recording = Cepstra()
        self._heard: list[tuple[Matrix, Matrix]] = []
        self._samples = 0
        self.reference_frames = 0
        self.frames = 0
        self.loss = 1.0
        """Loss of the whole text, once its words are found."""

    def add_reference(self, reference: ReferenceSpeech, text: str) -> None:
        """Add the next piece, of ``text``: a pause is likely before it, and at marks between its words.

        Raises ValueError for reference speech without a word or a sound.
        """
        cepstra, edges = heard(reference)
        starts = {0}
        for (before, word), (begin, *_) in zip(pairwise(reference.words), edges[1:], strict=True):
            if text[before.end : word.start].strip():
                starts.add(round(begin))
        self._breaks += [self.reference_frames + start for start in sorted(starts)]
        frames, phonemes = rows_of(edges, len(cepstra))
        order = np.array(frames, np.int32)
        self._order.append(np.where(order < 0, order, order + self.reference_frames))
        self._phonemes += [[self._rows + at for at in inner] for inner in phonemes]
        self._rows += len(order)
        self.reference_frames += len(cepstra)
        self._pieces.append(reference.words)
        self._ends.append(self.reference_frames)
        self._reference.append(cepstra.take())

    def feed(self, samples: Samples, *, last: bool = False) -> None:
        """Add samples of the recording, at ``cepstra.SAMPLE_RATE``."""
        self._samples += len(samples)
        self._voices += self._hear_voices(samples)
        self._recording.feed(samples, last=last)
        self._heard.append(self._recording.take())
        self.frames += len(self._heard[-1][0])

    @property
    def size(self) -> int:
        """Bytes that it takes, about, once it searches."""
        return 64 * self.frames + 192 * self.reference_frames

    @property
    def duration_s(self) -> float:
        """Seconds of the recording."""
        return self._samples / SAMPLE_RATE

    def align(self) -> Generator[list[list[FoundWord]] | None]:
        """Yield None after each piece of the work, at last the words of each piece of reference speech."""
        self.feed(np.zeros(0, np.float32), last=True)
        reference, recording = (
            (np.concatenate([rows for rows, _ in pieces]), np.concatenate([levels for _, levels in pieces]))
            for pieces in (self._reference, self._heard)
        )
        self._heard.clear()
        self._reference.clear()
        ours = Normalization.of(*reference).applied(reference[0])
        voiced = self._voiced()
        theirs, quiet = Normalization.of(*(part[voiced] for part in recording)).compared(*recording)
        quiet[~voiced] = _SILENT
        step = 8 if len(theirs) * len(ours) <= _MOST_CELLS * 8**2 else 32
        level = self._level(theirs, quiet, ours, step)
        everywhere = [(0, len(level.frames))] * -(-len(level.columns.rows) // BLOCK)
        path = yield from cheapest_path(level.rows, level.columns, everywhere, _PRICES[step])
        while step > 1:
            coarse, coarse_step = level, step
            step = _FINER[step]
            level = self._level(theirs, quiet, ours, step)
            bands = near(path, coarse.frames, coarse_step, level.frames, step, len(theirs), _MARGINS[step])
            if step == 1 and max(high - low for low, high in bands) * FRAME_S > MAX_UNSAID_S:
                raise InvalidRequest("text", f"has too much that is not said (at most {MAX_UNSAID_S:g} s)")
            path = yield from cheapest_path(level.rows, level.columns, bands, _PRICES[step])
        words = self._words(level, path)
        loss = yield from loss_of(level.rows, level.columns, path, _PRICES[1])
        each = [loss for piece in words for _, loss in piece]
        self.loss = float(np.mean(each)) if loss is None else loss
        yield words

    def _voiced(self) -> npt.NDArray[np.bool_]:
        """Return the frames near a voice; all of them where too few are for the text."""
        likely = np.array([*self._voices, 0.0]) >= _VOICE
        likely = np.convolve(likely, np.ones(2 * _EDGE_CHUNKS + 1), "same") > 0
        chunks = (np.arange(self.frames) * FRAME_S / VOICE_CHUNK_S).astype(int)
        voiced: npt.NDArray[np.bool_] = likely[np.minimum(chunks, len(likely) - 1)]
        few = voiced.sum() < _FEWEST * min(self.reference_frames, self.frames)
        return np.ones_like(voiced) if few else voiced

    def _level(self, theirs: Matrix, quiet: Matrix, ours: Matrix, step: int) -> _Level:
        """Return what is searched in steps of so many frames."""
        order = np.concatenate([*(self._order if step == 1 else self._coarse_order(step)), [-1]])
        pauses = order < 0
        if step == 1:
            features = np.concatenate([with_slopes(rows) for rows in np.split(ours, self._ends[:-1])])
            features = features[np.maximum(order, 0)]
            columns = Columns(theirs, quiet, _SLOPES[step])
        else:
            means = np.add.reduceat(ours, order[~pauses]) / np.diff([*order[~pauses], len(ours)])[:, None]
            scale = ours.std(axis=0) / np.maximum(means.std(axis=0), 1e-3)
            features = np.zeros((len(order), 2 * ours.shape[1]), np.float32)
            features[~pauses] = with_slopes(means * scale, weight=_SLOPES[step])
            starts = np.arange(0, len(theirs), step)
            counts = np.diff([*starts, len(theirs)])
            means = np.add.reduceat(theirs, starts) / counts[:, None] * scale
            hushed = np.add.reduceat(quiet, starts) / counts
            columns = Columns(means.astype(np.float32), hushed.astype(np.float32), _SLOPES[step])
        begins = np.minimum.accumulate(np.where(pauses, len(ours), order)[::-1])[::-1]
        return _Level(Rows(features.astype(np.float32, copy=False), pauses), begins.astype(np.int32), columns)

    def _coarse_order(self, step: int) -> Iterator[Indices]:
        for begin, end in pairwise([*self._breaks, self.reference_frames]):
            if end > begin:
                yield np.array([-1, *range(begin, end, step)], np.int32)

    def _words(self, level: _Level, path: Path) -> list[list[FoundWord]]:
        """Return the words by the finest path."""
        count = len(level.frames)
        cells = np.bincount(path.rows, minlength=count)
        times = np.bincount(path.rows, path.columns, count) / np.maximum(cells, 1)
        begins = [rows[0] for rows in self._phonemes]
        pauses = [*(row - 1 for row in begins[1:]), count - 1]
        ends = [*times[begins[1:]], float(self.frames)]
        losses = _losses(level, path, begins, pauses)
        # A skipped pause has a column too.
        silences = np.where((silent := cells[pauses] - 1) * FRAME_S >= MIN_PAUSE_S, silent, 0)
        words = (word for piece in self._pieces for word in piece)
        found = (
            (timed(word, [*times[rows], end - silence], self.duration_s), loss)
            for word, rows, end, silence, loss in zip(
                words, self._phonemes, ends, silences, losses, strict=True
            )
        )
        return [[*islice(found, len(piece))] for piece in self._pieces]


def _losses(level: _Level, path: Path, begins: Sequence[int], ends: Sequence[int]) -> list[float]:
    """Return loss of rows from each of ``begins`` to ``ends``, with some around a few.

    It is the path's cost there, relative to that of frames that have nothing in common.
    """
    pauses, speech = level.rows.pauses, np.flatnonzero(~level.rows.pauses)
    diagonal = np.minimum(np.diff(path.rows, prepend=-1), np.diff(path.columns, prepend=-1)) > 0
    spoken = np.flatnonzero(~pauses[path.rows])
    rows = path.rows[spoken]
    far = np.roll(speech, len(speech) // 2)[np.searchsorted(speech, rows)]
    sums = np.zeros((2, len(spoken) + 1))  # of the path's costs, and of the others
    for first in range(0, len(spoken), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        columns, both = path.columns[spoken[part]], diagonal[spoken[part]]
        features = level.columns.features(columns[0], columns[-1] + 1)[columns - columns[0]]
        own, other = (
            np.sqrt(np.square(features - level.rows.features[each[part]]).mean(axis=1))
            for each in (rows, far)
        )
        sums[:, 1:][:, part] = np.where(both, 2 * own, own + _PRICES[1].step), other * (both + 1)
    sums = np.cumsum(sums, axis=1)
    low, high = np.searchsorted(rows, begins), np.searchsorted(rows, ends)
    more = np.maximum(0, _SCORED - (high - low) + 1) // 2
    cost, other = sums[:, np.minimum(high + more, len(rows))] - sums[:, np.maximum(low - more, 0)]
    relative = cost / np.maximum(other, 1e-9)
    return np.clip((relative - _WORD_FITS) / (_WORD_RANDOM - _WORD_FITS), 0.0, 1.0).tolist()  # type: ignore[no-any-return]
