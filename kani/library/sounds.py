"""Recordings that a program gives: files, their bytes, or samples."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from kani.core.audio.decoding import RECORDING_POOL, run_in_pool
from kani.core.audio.pcm import decode_recording, wav
from kani.core.errors import InvalidRequest
from kani.core.types import Recording, Samples

Sound = str | Path | bytes | IO[bytes] | tuple[Samples, int]
"""An audio file, its bytes, an open one, or mono samples in [-1, 1] with their rate in hertz."""

Pieces = Iterable[Samples] | AsyncIterable[Samples]
"""Mono samples in [-1, 1] as they come; what blocks is read in a thread."""


async def recording_of(sound: Sound) -> Recording:
    """Decode a recording of a voice. Raises InvalidRequest where it is none."""
    if isinstance(sound, tuple):
        samples, rate = sound
        return Recording(mono(samples), rate)
    with await asyncio.to_thread(opened, sound) as file:
        data = await asyncio.to_thread(file.read)
    return await run_in_pool(RECORDING_POOL, decode_recording, data)


def opened(sound: Sound) -> IO[bytes]:
    """Open a recording: a film need not fit into memory."""
    if isinstance(sound, tuple):
        samples, rate = sound
        return io.BytesIO(wav(mono(samples), rate))
    if isinstance(sound, str | Path):
        return Path(sound).open("rb")
    return io.BytesIO(sound) if isinstance(sound, bytes) else sound


def mono(samples: Samples) -> Samples:
    """Return samples in [-1, 1]; integers, of 16 or 32 bits, are scaled. InvalidRequest for others."""
    values: npt.NDArray[Any] = np.asarray(samples)
    values = values.ravel() if 1 in values.shape else values  # sounddevice gives one channel as a column
    if values.ndim != 1 or values.dtype.kind not in "fi":
        raise InvalidRequest("samples", "must be an array of numbers, of one channel")
    return (values / {"int16": 2.0**15, "int32": 2.0**31}.get(values.dtype.name, 1.0)).astype(np.float32)
