"""Tells if a text is what is said in a recording, by its path and those of the same sounds in another order.

Noise, a telephone's band and a voice like the reference's change the costs of all of these alike.
"""

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from kani.core.timing.cepstra import Matrix
from kani.core.timing.dtw import Prices, Rows
from kani.core.timing.recording_path import BLOCK, Columns, Path, cheapest_path

_CELLS, _PARTS, _LONGEST = 1500, 6, 4500
"""Spoken cells of a part of the path, parts that are judged, and frames of one with the pauses in it."""

_FITS, _RANDOM = 0.77, 1.0
"""Relative costs of speech that is the text, and of any other speech."""


def loss_of(rows: Rows, columns: Columns, path: Path, prices: Prices) -> Generator[None, None, float | None]:
    """Return 0 for the text of a recording to 1 for any other, None where pauses are too long to tell.

    It is judged by parts of ``path``. Yields after each piece of the work.
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
    return float(np.clip((np.mean(ratios) - _FITS) / (_RANDOM - _FITS), 0.0, 1.0)) if ratios else None


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
