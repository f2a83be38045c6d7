"""Bounds of FFmpeg: its threads, its memory, and MP4 recordings that claim much."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from kani.core.audio import ffmpeg
from kani.core.audio.mp4 import ENTRY_BYTES
from kani.core.audio.pcm import decode_recording
from kani.core.audio.recording_file import RecordingFile
from kani.core.errors import Busy, InvalidRequest
from tests.core.audio.test_pcm import encoded, tone
from tests.running.sources import ROOT
from tests.support.programs import python

RATE = 48_000
AAC_SAMPLES = 1024


def box(kind: bytes, *content: bytes) -> bytes:
    inner = b"".join(content)
    return struct.pack(">I4s", 8 + len(inner), kind) + inner


def full(kind: bytes, *content: bytes) -> bytes:
    return box(kind, bytes(4), *content)


def track(number: int, samples: int, duration: int = AAC_SAMPLES) -> bytes:
    """A track of PCM that claims ``samples``, each of two bytes; no table has more than one entry."""
    pcm = struct.pack(">6xH8xHHHHI", 1, 1, 16, 0, 0, RATE << 16)
    table = box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), box(b"sowt", pcm)),
        full(b"stts", struct.pack(">III", 1, samples, duration)),
        full(b"stsc", struct.pack(">IIII", 1, 1, samples, 1)),
        full(b"stsz", struct.pack(">II", 2, samples)),
        full(b"stco", struct.pack(">II", 1, 48)),
    )
    media = box(
        b"mdia",
        full(b"mdhd", struct.pack(">IIIIHH", 0, 0, RATE, samples * duration & 0xFFFFFFFF, 0x55C4, 0)),
        full(b"hdlr", bytes(4), b"soun", bytes(13)),
        box(b"minf", table),
    )
    return box(b"trak", full(b"tkhd", struct.pack(">IIIII60x", 0, 0, number, 0, 0)), media)


def moov(*tracks: bytes) -> bytes:
    return box(b"moov", full(b"mvhd", struct.pack(">IIII80x", 0, 0, 1000, 1000)), *tracks)


def mp4(moov: bytes, audio_bytes: int = 400) -> bytes:
    return box(b"ftyp", b"M4A \0\0\0\0M4A ") + moov + box(b"mdat", bytes(audio_bytes))


def compressed(moov: bytes) -> bytes:
    packed = zlib.compress(moov, 1)
    size = struct.pack(">I", len(moov))
    return box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", size, packed)))


def fragments(*runs: int) -> bytes:
    """Fragments of one run each, which claims a number of samples without an entry for each.

    The index of the fragments (``sidx``) lets FFmpeg read them one after another.
    """
    extends = box(b"mvex", full(b"trex", struct.pack(">IIIII", 1, 1, AAC_SAMPLES, 2, 0)))
    parts = []
    for number, samples in enumerate(runs, 1):
        run = full(b"tfhd", struct.pack(">I", 1)), full(b"trun", struct.pack(">I", samples))
        head = box(b"moof", full(b"mfhd", struct.pack(">I", number)), box(b"traf", *run))
        parts.append(head + box(b"mdat", bytes(400)))
    sizes = (struct.pack(">III", len(part), RATE, 1 << 31) for part in parts)
    sidx = full(b"sidx", struct.pack(">IIIIHH", 1, RATE, 0, 0, 0, len(parts)), *sizes)
    return box(b"ftyp", b"isom\0\0\0\0isom") + moov(track(1, 0), extends) + sidx + b"".join(parts)


def many_tracks() -> bytes:
    return moov(*(track(number, 2_700_000) for number in range(1, 30)))


LARGE, UNTRUE = "index that takes more than 64 MiB", "claims more samples than it has bytes"
FORGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "samples": (lambda: mp4(moov(track(1, 30_000_000))), LARGE),
    # Tracks beside the first are not indexed.
    "tracks": (lambda: mp4(many_tracks()), UNTRUE),
    "tracks in a compressed head": (lambda: mp4(compressed(many_tracks())), LARGE),
    "compressed head": (lambda: mp4(compressed(moov(box(b"free", bytes(150_000_000))))), LARGE),
    "fragment": (lambda: fragments(30_000_000), LARGE),
}
"""Files that claim too much, and what is said of each."""

READ = """
import io, sys
from kani.core.audio.pcm import decode_recording
from kani.core.audio.recording_file import RecordingFile
from kani.core.errors import Busy, InvalidRequest

def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

def read_file():
    with RecordingFile(io.BytesIO(data), 16_000, 60.0) as recording:
        while recording.read() is not None:
            pass

data = sys.stdin.buffer.read()
before = peak_kib()
for read in (read_file, lambda: decode_recording(data)):
    try:
        read()
    except InvalidRequest:
        pass
print(peak_kib() - before >> 10)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("kind", FORGED)
def test_small_file_takes_little_memory(kind: str) -> None:
    run = subprocess.run([sys.executable, "-c", READ], cwd=ROOT, input=FORGED[kind][0](), capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    assert int(run.stdout) <= 128


@pytest.mark.parametrize(("forged", "reason"), FORGED.values(), ids=FORGED)
def test_head_that_claims_too_much_is_named(forged: Callable[[], bytes], reason: str) -> None:
    data = forged()
    with pytest.raises(InvalidRequest, match=reason):
        decode_recording(data)
    with pytest.raises(InvalidRequest, match=reason), opened(data) as recording:
        recording.read()


def opened(data: bytes, longest_s: float = 60.0) -> RecordingFile:
    return RecordingFile(io.BytesIO(data), 16_000, longest_s)


def test_all_indexes_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.core.audio.mp4.MAX_OPEN_BYTES", 100 * ENTRY_BYTES)
    monkeypatch.setattr("kani.core.audio.mp4.SMALL_BYTES", 50 * ENTRY_BYTES)
    file = mp4(moov(track(1, 90)))
    one_that_is_too_large = mp4(moov(track(1, 110)))
    for first in (file, one_that_is_too_large):
        with opened(first), pytest.raises(Busy, match="long recordings"):
            opened(file)
    wav = encoded("wav", "pcm_s16le", tone(1.0, RATE), RATE)
    with opened(file), opened(wav):
        pass


def test_without_a_limit_mp4_is_refused_and_that_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert ffmpeg.limit_allocations()
    with monkeypatch.context() as patch:
        patch.setattr(ffmpeg, "_libavutil", lambda _: None)
        assert not ffmpeg.limit_allocations.__wrapped__()
    assert "recordings in MP4 and MOV files are refused" in caplog.text
    monkeypatch.setattr(ffmpeg, "limit_allocations", lambda: False)
    data = encoded("mp4", "aac", tone(1.0, RATE), RATE)
    for read in (decode_recording, opened):
        with pytest.raises(InvalidRequest, match="cannot read safely"):
            read(data)
    wav = encoded("wav", "pcm_s16le", tone(1.0, RATE), RATE)
    assert decode_recording(wav).sample_rate == RATE


def test_index_of_sixteen_hours_is_read_and_a_growing_one_checked() -> None:
    hours = 16
    samples = hours * 3600 * RATE // AAC_SAMPLES
    file = mp4(moov(track(1, samples)), samples)
    with opened(file, 1e6) as recording:
        assert recording.duration_s == pytest.approx(hours * 3600)
    with opened(fragments(*[100] * 20)) as recording:
        assert recording.read() is not None
    with opened(fragments(*[100] * 20, 1_000_000)) as recording, pytest.raises(InvalidRequest, match=UNTRUE):
        recording.read()  # by its stamps a sample lasts as long as a frame of AAC: silence
        recording.read()


def film(path: Path, flags: str) -> bytes:
    with av.open(path, "w", format="mp4", options={"movflags": flags} if flags else {}) as output:
        pictures = output.add_stream("mpeg4", rate=10, options={"g": "5"})
        assert isinstance(pictures, av.VideoStream)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuv420p"
        sounds = [output.add_stream("aac", rate=RATE, layout="mono") for _ in range(2)]
        for index in range(20):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 12 * index, np.uint8), format="rgb24")
            picture.pts = index
            output.mux(pictures.encode(picture))
        for stream, level in zip(sounds, (1.0, 0.0), strict=True):
            assert isinstance(stream, av.AudioStream)
            for at in range(0, 2 * RATE - AAC_SAMPLES, AAC_SAMPLES):
                samples = level * tone(2.0, RATE)[at : at + AAC_SAMPLES]
                frame = av.AudioFrame.from_ndarray(samples[np.newaxis].astype(np.float32), "fltp", "mono")
                frame.sample_rate, frame.pts = RATE, at
                output.mux(stream.encode(frame))
        for stream in (pictures, *sounds):
            output.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("flags", ["", "faststart", "frag_keyframe+empty_moov"])
def test_first_sound_of_a_film_is_read(tmp_path: Path, flags: str) -> None:
    data = film(tmp_path / "film.mp4", flags)
    assert data.count(b"trak") == 3
    decoded = decode_recording(data)
    assert decoded.duration_s == pytest.approx(2.0, abs=0.1)
    assert np.sqrt(np.mean(decoded.samples**2)) == pytest.approx(0.21, abs=0.02)
    with opened(data) as recording:
        samples = recording.read()
    assert samples is not None and len(samples) == pytest.approx(len(decoded.samples) / 3, rel=0.01)


# libavutil is made to count 16 cores first, on which a filter graph starts 15 threads.
COUNT = """
import ctypes, os
import av
import numpy as np
ctypes.CDLL(av._core.__file__).av_cpu_force_count(16)
from kani.core.audio.framed import Mp3Encoder
from kani.core.audio.ogg_opus import OggOpusEncoder
from kani.core.audio.prosody_filter import ProsodyFilter
from kani.core.audio.resampling import LowDelayResampler

makers = {
    "mp3": lambda: Mp3Encoder(24_000, 64_000),
    "opus": lambda: OggOpusEncoder(),
    "prosody": lambda: ProsodyFilter(24_000, 1.3),
    "recognition": lambda: LowDelayResampler(24_000, 16_000),
}
before = len(os.listdir("/proc/self/task"))
for kind, make in makers.items():
    streams = [make() for _ in range(10)]
    assert all(len(stream.feed(np.zeros(24_000, np.float32))) for stream in streams)
    print(kind, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.server
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_streams_start_no_thread() -> None:
    assert python("-c", COUNT).stdout.split() == ["mp3", "0", "opus", "0", "prosody", "0", "recognition", "0"]
