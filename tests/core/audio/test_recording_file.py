"""Times in a recording: silence stands where its time stamps say that there was no sound."""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from kani.core.audio import recording_file
from kani.core.audio.recording_file import RecordingFile
from kani.core.errors import InvalidRequest

RATE = 48_000
HEARD_RATE = 16_000
FRAME = 960
FORMATS = {
    "mp4": ("mp4", "mpeg4", "aac"),
    "mov": ("mov", "mpeg4", "aac"),
    "fragmented": ("mp4", "mpeg4", "aac"),
    "mkv": ("matroska", "mpeg4", "aac"),
    "webm": ("webm", "libvpx", "libopus"),
    "ts": ("mpegts", "mpeg2video", "mp2"),
    "flv": ("flv", "flv1", "aac"),
    "sound.mkv": ("matroska", None, "flac"),
}
ALL = pytest.mark.parametrize("name", FORMATS)


def film(name: str, *tones: tuple[float, float], seconds: float = 9.0) -> io.BytesIO:
    """A film with a tone of each stretch, from second to second; the picture begins at 0."""
    container_format, video, audio = FORMATS[name]
    options = {"movflags": "frag_keyframe+empty_moov"} if name == "fragmented" else {}
    file = io.BytesIO()
    with av.open(file, "w", container_format, options=options) as container:
        sound = container.add_stream(audio, rate=RATE, layout="mono")
        assert isinstance(sound, av.AudioStream)
        sound.time_base = Fraction(1, RATE)
        packets: list[av.Packet[Any]] = []
        if video is not None:
            picture = container.add_stream(video, rate=10)
            assert isinstance(picture, av.VideoStream)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
            for index in range(round(10 * seconds)):
                frame = av.VideoFrame(64, 64, "yuv420p")
                for plane in frame.planes:
                    plane.update(bytes(plane.buffer_size))
                frame.pts, frame.time_base = index, Fraction(1, 10)
                packets += picture.encode(frame)
            packets += picture.encode(None)
        for start_s, end_s in tones:
            for at in range(round(start_s * RATE), round(end_s * RATE), FRAME):
                wave = 13_000 * np.sin(np.arange(at, at + FRAME) * 2 * np.pi * 440 / RATE)
                samples = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
                samples.sample_rate, samples.pts, samples.time_base = RATE, at, Fraction(1, RATE)
                packets += sound.encode(samples)
        packets += sound.encode(None)
        container.mux(sorted(packets, key=lambda packet: float((packet.dts or 0) * packet.time_base)))
    file.seek(0)
    return file


def numbered(*stamps_s: float) -> io.BytesIO:
    """A Matroska file with a tenth of a second of sound at each of the stamps, in this order."""
    file = io.BytesIO()
    with av.open(file, "w", "matroska") as container:
        sound = container.add_stream("pcm_s16le", rate=HEARD_RATE, layout="mono")
        for stamp_s in stamps_s:
            packet = av.Packet((10_000 * np.ones(HEARD_RATE // 10, np.int16)).tobytes())
            packet.stream, packet.time_base = sound, Fraction(1, 1000)
            packet.pts = packet.dts = round(1000 * stamp_s)
            container.mux(packet)
    file.seek(0)
    return file


def read(file: io.BytesIO, max_seconds: float = 60.0) -> npt.NDArray[np.float32]:
    pieces = []
    with RecordingFile(file, HEARD_RATE, max_seconds) as recording:
        while (piece := recording.read()) is not None:
            pieces.append(piece)
    return np.concatenate(pieces)


def stretches(samples: npt.NDArray[np.float32]) -> list[float]:
    """Where sound begins and ends, in seconds, in turn."""
    steps = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    loud = np.concatenate([[False], np.abs(steps).max(axis=1) > 0.1, [False]])
    return [float(at) / 100 for at in np.flatnonzero(np.diff(loud))]


def assert_sounds(file: io.BytesIO, expected: Sequence[float]) -> None:
    assert stretches(read(file)) == pytest.approx(expected, abs=0.06)


@ALL
def test_sound_that_begins_late(name: str) -> None:
    assert_sounds(film(name, (3.0, 5.0)), [3.0, 5.0])


@ALL
def test_hole_in_the_time_stamps(name: str) -> None:
    assert_sounds(film(name, (0.0, 2.0), (5.0, 6.0)), [0.0, 2.0, 5.0, 6.0])


@ALL
def test_sound_without_holes_is_as_long_as_it_is(name: str) -> None:
    assert_sounds(film(name, (0.0, 8.0)), [0.0, 8.0])


def test_stamps_that_jitter_and_overlap_change_nothing() -> None:
    jitter = (0.0, 0.13, 0.17, 0.32, 0.37, 0.45, 0.62)
    assert len(read(numbered(*jitter))) == pytest.approx(0.7 * HEARD_RATE, abs=2)


def test_small_holes_do_not_add_up() -> None:
    """Each stamp is 10 ms later than the sound before it ends."""
    assert len(read(numbered(*(0.11 * index for index in range(100))))) / HEARD_RATE == pytest.approx(
        10.9, abs=0.1
    )


@pytest.mark.parametrize("stamp_s", [4000.0, 2e6])
def test_forged_stamp_makes_no_silence_and_those_after_it_count_from_it(stamp_s: float) -> None:
    file = numbered(0.0, stamp_s, stamp_s + 1.0)
    assert stretches(read(file)) == pytest.approx([0.0, 0.2, 1.1, 1.2], abs=0.02)


def test_silence_of_all_holes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_file, "MAX_HOLES_S", 5.0)
    assert len(read(numbered(0.0, 2.0, 4.0, 6.0, 8.0, 10.0))) / HEARD_RATE < 5.7


def test_silence_counts_as_the_length_that_is_allowed() -> None:
    with pytest.raises(InvalidRequest, match="too long"):
        read(numbered(0.0, 61.0))


def test_hole_is_read_in_pieces() -> None:
    lengths = []
    with RecordingFile(numbered(0.0, 100.0), HEARD_RATE, 200.0) as recording:
        while (piece := recording.read()) is not None:
            lengths.append(len(piece))
    assert sum(lengths) == pytest.approx(100.1 * HEARD_RATE, abs=HEARD_RATE / 100)
    assert max(lengths) <= 21 * HEARD_RATE


def test_film_that_is_appended_begins_where_the_first_one_ends() -> None:
    first, second = film("ts", (0.0, 4.0), seconds=4.0), film("ts", (0.0, 1.0), (3.0, 4.0), seconds=4.0)
    assert_sounds(io.BytesIO(first.read() + second.read()), [0.0, 5.0, 7.0, 8.0])
