"""Recordings that a program gives: files, their bytes, or samples."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import IO

import numpy as np

from kani.core.audio.decoding import RECORDING_POOL, run_in_pool
from kani.core.audio.pcm import decode_recording, wav
from kani.core.types import Recording, Samples

Sound = str | Path | bytes | tuple[Samples, int]
"""An audio file, its bytes, or mono samples in [-1, 1] with their rate in hertz."""


async def recording_of(sound: Sound) -> Recording:
    """Decode a recording of a voice. Raises InvalidRequest where it is none."""
    if isinstance(sound, tuple):
        samples, rate = sound
        return Recording(np.asarray(samples, np.float32), rate)
    data = sound if isinstance(sound, bytes) else await asyncio.to_thread(Path(sound).read_bytes)
    return await run_in_pool(RECORDING_POOL, decode_recording, data)


def opened(sound: Sound) -> IO[bytes]:
    """Open a recording: a film need not fit into memory."""
    if isinstance(sound, tuple):
        samples, rate = sound
        return io.BytesIO(wav(np.asarray(samples, np.float32), rate))
    return io.BytesIO(sound) if isinstance(sound, bytes) else Path(sound).open("rb")
