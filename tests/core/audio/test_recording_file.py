"""Recordings decoded piece by piece."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest

from kani.core.audio.pcm import pcm16, wav
from kani.core.audio.recording_file import PIECE_S, PcmFile, RecordingFile
from kani.core.errors import InvalidRequest
from kani.core.types import Samples
from tests.support.patience import WITHIN_S

RATE = 16_000
NOISE = np.random.default_rng(1).uniform(-0.5, 0.5, 50 * RATE).astype(np.float32)


class SlowFile(io.BytesIO):
    """Waits in ``read`` once ``slow`` is set."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.slow, self.waiting, self.may_go = (threading.Event() for _ in range(3))

    def read(self, size: int | None = -1) -> bytes:
        if self.slow.is_set():
            self.waiting.set()
            assert self.may_go.wait(WITHIN_S)
        return super().read(size)


def read_all(recording: RecordingFile | PcmFile) -> list[Samples]:
    pieces = []
    with recording:
        while (piece := recording.read()) is not None:
            pieces.append(piece)
    return pieces


@pytest.mark.parametrize("opened", [RecordingFile, PcmFile])
def test_pieces_are_bounded_and_complete(opened: type[RecordingFile] | type[PcmFile]) -> None:
    data = wav(NOISE, RATE) if opened is RecordingFile else pcm16(NOISE)
    pieces = read_all(opened(io.BytesIO(data), RATE, 60.0))
    assert max(len(piece) for piece in pieces) <= 1.1 * PIECE_S * RATE and len(pieces) == 3
    assert np.allclose(np.concatenate(pieces), NOISE, atol=1e-4)


@pytest.mark.parametrize("opened", [RecordingFile, PcmFile])
def test_longer_recording_is_refused_when_the_limit_is_reached(
    opened: type[RecordingFile] | type[PcmFile],
) -> None:
    data = wav(NOISE, RATE) if opened is RecordingFile else pcm16(NOISE)
    with (
        opened(io.BytesIO(data), RATE, 45.0) as recording,
        pytest.raises(InvalidRequest, match="at most 45 s"),
    ):
        while recording.read() is not None:
            pass


def test_leaving_while_a_thread_reads_closes_afterwards() -> None:
    file = SlowFile(wav(NOISE, RATE))
    pieces: list[Samples | None] = []
    with RecordingFile(file, RATE, 60.0) as recording:
        assert recording.read() is not None
        file.slow.set()
        thread = threading.Thread(target=lambda: pieces.append(recording.read()))
        thread.start()
        assert file.waiting.wait(WITHIN_S)
    file.slow.clear()
    file.may_go.set()
    thread.join(WITHIN_S)
    assert len(pieces) == 1 and pieces[0] is not None
    assert recording.read() is None
    with pytest.raises(AssertionError, match="not open"):
        _ = recording._container.duration
