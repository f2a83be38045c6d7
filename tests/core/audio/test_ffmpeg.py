"""FFmpeg starts no threads, regardless of cores and open streams, and its memory is limited."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kani.core.audio import ffmpeg

ROOT = Path(__file__).resolve().parents[3]

# libavutil is made to count 16 cores first, on which a filter graph starts 15 threads.
COUNT = """
import ctypes, os
import av
import numpy as np
ctypes.CDLL(av._core.__file__).av_cpu_force_count(16)
from kani.core.audio.mp3 import Mp3Encoder
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
    run = subprocess.run([sys.executable, "-c", COUNT], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["mp3", "0", "opus", "0", "prosody", "0", "recognition", "0"]


def test_missing_limit_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert ffmpeg.limit_allocations()
    monkeypatch.setattr(ffmpeg, "_libavutil", lambda _: None)
    assert not ffmpeg.limit_allocations.__wrapped__()
    assert "recordings in MP4 and MOV files are refused" in caplog.text
