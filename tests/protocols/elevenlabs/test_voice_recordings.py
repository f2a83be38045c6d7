"""Joining several recordings of one speaker."""

from __future__ import annotations

import numpy as np
import pytest

from kani.core.audio.pcm import decode_recording, wav
from kani.core.errors import InvalidRequest
from kani.protocols.elevenlabs.http.voice_form import JOINED_RATE, join_recordings


def tone(hertz: float, seconds: float, rate: int) -> bytes:
    times = np.arange(round(seconds * rate)) / rate
    return wav((0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32), rate)


def pitch(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * JOINED_RATE / len(samples))


def test_single_recording_is_unchanged() -> None:
    assert join_recordings([b"anything"]) == (b"anything", True)


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_recordings_are_joined_in_order(rate: int) -> None:
    joined, whole = join_recordings([tone(200, 2.0, rate), tone(300, 1.0, 16_000), tone(400, 1.0, 48_000)])
    recording = decode_recording(joined)
    assert whole and (recording.sample_rate, recording.duration_s) == (JOINED_RATE, 4.0)
    first, second, third = np.split(recording.samples, [2 * JOINED_RATE, 3 * JOINED_RATE])
    assert [round(pitch(piece)) for piece in (first, second, third)] == [200, 300, 400]


def test_joined_recording_has_at_most_60_s() -> None:
    half = tone(200, 30.0, 8_000)
    joined, whole = join_recordings([half, half])
    assert whole and decode_recording(joined).duration_s == 60.0
    joined, whole = join_recordings([half, tone(300, 70.0, 8_000)])
    assert not whole and decode_recording(joined).duration_s == 60.0
    joined, whole = join_recordings([tone(300, 70.0, 8_000), b"not looked at any more", half])
    assert not whole and decode_recording(joined).duration_s == 60.0


def test_bad_recording_is_named_by_number() -> None:
    with pytest.raises(InvalidRequest, match="files: number 2 is empty"):
        join_recordings([tone(200, 1.0, 8_000), b""])
