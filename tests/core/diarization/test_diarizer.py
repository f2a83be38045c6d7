"""Turns of a recording that is read in pieces, over networks that tell voices by their loudness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from kani.core.diarization.clustering import Array
from kani.core.diarization.diarizer import SAMPLE_RATE, Diarizer
from kani.core.diarization.turns import SpeakerTurn
from kani.core.errors import InvalidRequest
from kani.core.types import Samples

CHUNK = 512
LOUD, SOFT = 0.8, 0.3
EDGE_S = 0.07
"""Two chunks of the detector, and some: speech begins with its second loud chunk."""


class LevelStream:
    """A voice is what is louder than a tenth."""

    def __init__(self) -> None:
        self._waiting = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> list[float]:
        whole = np.concatenate([self._waiting, samples])
        count = len(whole) // CHUNK
        self._waiting = whole[count * CHUNK :]
        return [float(np.abs(chunk).mean() > 0.1) for chunk in whole[: count * CHUNK].reshape(-1, CHUNK)]


class LevelDetector:
    def stream(self) -> LevelStream:
        return LevelStream()


class LevelEncoder:
    """Loud and soft voices have embeddings at right angles; keeps the seconds of the stretches."""

    def __init__(self) -> None:
        self.lengths_s: list[float] = []

    def embed_stretches(self, stretches: Sequence[Samples], step_s: float) -> list[Array]:
        self.lengths_s += [len(samples) / SAMPLE_RATE for samples in stretches]
        return [
            np.eye(2, dtype=np.float32)[
                [int(np.abs(part).mean() > 0.5) for part in self._parts(samples, step_s)]
            ]
            for samples in stretches
        ]

    @staticmethod
    def _parts(samples: Samples, step_s: float) -> list[Samples]:
        size = round(step_s * SAMPLE_RATE)
        return [samples[at : at + size] for at in range(0, max(len(samples) - size, 1), size)]


def recording(*parts: tuple[float, float]) -> Samples:
    """Parts of a level and seconds each."""
    return np.concatenate([np.full(round(s * SAMPLE_RATE), level, np.float32) for level, s in parts])


def turns(
    samples: Samples,
    *,
    piece: int = 320_000,
    speakers: int | None = None,
    encoder: LevelEncoder | None = None,
) -> tuple[SpeakerTurn, ...]:
    stream = Diarizer(lambda: (LevelDetector(), encoder or LevelEncoder())).stream(SAMPLE_RATE)
    for at in range(0, len(samples), piece):
        stream.feed(samples[at : at + piece])
    return stream.finish(speakers)


DIALOGUE = recording((0, 1), (SOFT, 4), (0, 0.5), (LOUD, 4), (0, 1), (SOFT, 3), (0, 0.2), (SOFT, 2), (0, 1))


def test_turns_begin_and_end_where_the_voices_do() -> None:
    found = turns(DIALOGUE)
    assert [turn.speaker for turn in found] == [0, 1, 0]
    edges = [edge for turn in found for edge in (turn.start_s, turn.end_s)]
    assert edges == pytest.approx([1.0, 5.0, 5.5, 9.5, 10.5, 15.7], abs=EDGE_S)


@pytest.mark.parametrize("piece", [700, 16_000, 100_001])
def test_pieces_do_not_change_the_turns(piece: int) -> None:
    assert turns(DIALOGUE, piece=piece) == turns(DIALOGUE)


def test_given_number_joins_voices() -> None:
    assert {turn.speaker for turn in turns(DIALOGUE, speakers=1)} == {0}


def test_known_voices_come_first_and_others_after_them() -> None:
    diarizer = Diarizer(lambda: (LevelDetector(), LevelEncoder()))
    loud = diarizer.voice(recording((0, 1), (LOUD, 3)), SAMPLE_RATE)
    absent = np.array([-1, 0], np.float32)
    stream = diarizer.stream(SAMPLE_RATE)
    stream.feed(DIALOGUE)
    assert [turn.speaker for turn in stream.finish(None, [absent, loud])] == [2, 1, 2]
    assert [turn.speaker for turn in stream.finish(None, [loud])] == [1, 0, 1]
    assert [turn.speaker for turn in stream.finish()] == [0, 1, 0]


def test_known_voice_needs_speech() -> None:
    diarizer = Diarizer(lambda: (LevelDetector(), LevelEncoder()))
    with pytest.raises(InvalidRequest, match="file: holds no speech"):
        diarizer.voice(recording((0, 3)), SAMPLE_RATE)


def test_change_without_a_pause_is_found() -> None:
    found = turns(recording((SOFT, 6), (LOUD, 6)))
    assert [turn.speaker for turn in found] == [0, 1]
    assert found[0].end_s == found[1].start_s == pytest.approx(6.0, abs=0.5)


def test_short_sound_belongs_to_who_spoke_before() -> None:
    found = turns(recording((SOFT, 4), (0, 1), (LOUD, 4), (0, 1), (SOFT, 0.3), (0, 1)))
    assert [turn.speaker for turn in found] == [0, 1, 1]


def test_long_speech_is_embedded_in_stretches() -> None:
    encoder = LevelEncoder()
    (turn,) = turns(recording((SOFT, 65), (0, 1)), encoder=encoder)
    assert turn.end_s == pytest.approx(65, abs=EDGE_S)
    assert max(encoder.lengths_s) < 21 and sum(encoder.lengths_s) == pytest.approx(65, abs=EDGE_S)


@pytest.mark.parametrize("samples", [recording((0, 2)), np.zeros(0, np.float32)])
def test_silence_has_no_turns(samples: Samples) -> None:
    assert turns(samples) == ()


def test_other_sample_rates_have_the_same_times() -> None:
    stream = Diarizer(lambda: (LevelDetector(), LevelEncoder())).stream(SAMPLE_RATE // 2)
    stream.feed(DIALOGUE[::2])
    assert [turn.speaker for turn in stream.finish()] == [0, 1, 0]
