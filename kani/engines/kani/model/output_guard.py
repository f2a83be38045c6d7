"""Detects speech that does not end, repeats itself, or is silent: sampling occasionally produces it.

Detected are speech much longer than its text, the same frames over and over, and silence instead of a voice.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from kani.runtime.silence_trim import AUDIBLE

_TOO_LONG = 3.0
_GRACE_S = 2.0
_LOOP_S = 2.4
_PERIODS = np.arange(1, 11)
_LEAST_REPEATS = 4
_SILENCE_S = 3.0

Whole = npt.NDArray[np.int64]
Codes = Whole
"""Frames of several voices [voices, codebooks]."""
Flags = npt.NDArray[np.bool_]


class Anomaly(IntEnum):
    RUNAWAY = 1
    LOOP = 2
    SILENCE = 3

    @property
    def detail(self) -> str:
        return ("speech did not end", "speech repeated itself", "there was no voice")[self - 1]


class OutputGuard:
    """Watches many voices at once. Each has a seat, a row of the table; arguments and results are arrays."""

    def __init__(self, codebooks: int, *, frame_s: float, sample_rate: int) -> None:
        """frame_s: seconds of a frame; sample_rate: hertz."""
        self._frame_s = frame_s
        self._loop_frames = np.maximum(_PERIODS * _LEAST_REPEATS, round(_LOOP_S / frame_s))
        self._most_silent = _SILENCE_S * sample_rate
        # last: the latest frames, frame n at n modulo their number; repeated: by period, how many frames in
        # turn were equal to the one a period before; silent: samples since the last audible one.
        fields = [
            ("most_frames", np.int64),
            ("last", np.int32, (len(_PERIODS), codebooks)),
            ("repeated", np.int32, len(_PERIODS)),
            ("silent", np.int64),
            ("audible", np.bool_),
        ]
        self._rows = np.zeros(1, np.dtype(fields, align=True))

    def begin(self, seat: int, predicted_s: float) -> None:
        """Watch a new voice. predicted_s: rough duration of its text."""
        self._rows = with_row(self._rows, seat)
        self._rows[seat] = (round((_TOO_LONG * predicted_s + _GRACE_S) / self._frame_s), -1, 0, 0, False)

    def check_frames(self, seats: Whole, frames: Whole, codes: Codes) -> Whole:
        """Check the next frame of each voice: its ``Anomaly``, or 0. frames: number of those before it."""
        rows = self._rows
        found = np.where(frames >= rows["most_frames"][seats], int(Anomaly.RUNAWAY), 0)
        # Most frames repeat not even the first code of a recent frame: only the others are compared whole.
        some = np.flatnonzero((rows["last"][seats, :, 0] == codes[:, None, 0]).any(axis=1))
        which, places = seats[some], (frames[some, None] - _PERIODS) % len(_PERIODS)
        same = (rows["last"][which[:, None], places] == codes[some, None]).all(axis=2)
        repeated = np.where(same, rows["repeated"][which] + 1, 0)
        looped = some[(repeated >= self._loop_frames).any(axis=1)]
        found[looped] = np.where(found[looped], found[looped], int(Anomaly.LOOP))
        rows["repeated"][seats] = 0
        rows["repeated"][which] = repeated
        rows["last"][seats, frames % len(_PERIODS)] = codes
        return found

    def hear(self, seats: Whole, sounding: Whole, samples: int) -> None:
        """Note the next ``samples`` of each voice. sounding: how many until its last audible one, or 0."""
        silent = np.where(sounding, samples - sounding, self._rows["silent"][seats] + samples)
        self._rows["silent"][seats] = silent
        self._rows["audible"][seats] |= sounding > 0

    def silent(self, seats: Whole) -> Flags:
        """True for the voices that have been silent for too long."""
        silent: Flags = self._rows["silent"][seats] > self._most_silent
        return silent

    def audible(self, seats: Whole) -> Flags:
        """True for the voices that were anything but silent."""
        audible: Flags = self._rows["audible"][seats]
        return audible


def with_row(rows: npt.NDArray[np.void], row: int) -> npt.NDArray[np.void]:
    """The table if it has such a row, else a copy that has."""
    return rows if row < len(rows) else np.concatenate((rows, np.zeros(row + 1, rows.dtype)))


def last_audible(samples: npt.NDArray[np.float32]) -> Whole:
    """The number of samples until the last audible one in each row, or 0."""
    counting = np.arange(1, samples.shape[1] + 1)
    counts: Whole = ((np.abs(samples) >= AUDIBLE) * counting).max(axis=1)
    return counts
