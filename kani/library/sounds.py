"""Recordings that a program gives: files, their bytes, or samples."""

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
from kani.library.arguments import RECORDED_RATES, rate

Sound = str | Path | bytes | IO[bytes] | tuple[Samples, int]
"""An audio file, its bytes, an open one, or mono samples in [-1, 1] with their rate in hertz."""

_SOUNDS = "must be the name of an audio file, its bytes, an open one, or mono samples with their rate"

Pieces = Iterable[Samples] | AsyncIterable[Samples]
"""Mono samples in [-1, 1] as they come; what blocks is read in a thread."""


async def recording_of(sound: Sound) -> Recording:
    """Decode a recording of a voice. Raises InvalidRequest where it is none."""
    if isinstance(sound, tuple):
        return Recording(*_samples_of(sound, "reference"))
    with await asyncio.to_thread(opened, sound, "reference") as file:
        data = await asyncio.to_thread(file.read)
    return await run_in_pool(RECORDING_POOL, decode_recording, data)


def opened(sound: Sound, name: str) -> IO[bytes]:
    """Open a recording, the argument ``name``: a film need not fit into memory."""
    if isinstance(sound, tuple):
        return io.BytesIO(wav(*_samples_of(sound, name)))
    if isinstance(sound, str | Path):
        return Path(sound).open("rb")
    if isinstance(sound, bytes):
        return io.BytesIO(sound)
    if not hasattr(sound, "read"):
        raise InvalidRequest(name, _SOUNDS)
    return sound


def _samples_of(sound: tuple[Samples, int], name: str) -> tuple[Samples, int]:
    if len(sound) != 2:
        raise InvalidRequest(name, _SOUNDS)
    return mono(sound[0]), rate(sound[1], RECORDED_RATES)


def mono(samples: Samples) -> Samples:
    """Return samples in [-1, 1]; integers, of 16 or 32 bits, are scaled. InvalidRequest for others."""
    values: npt.NDArray[Any] = np.asarray(samples)
    values = values.ravel() if 1 in values.shape else values  # sounddevice gives one channel as a column
    if values.ndim != 1 or values.dtype.kind not in "fi":
        raise InvalidRequest("samples", "must be an array of numbers, of one channel")
    return (values / {"int16": 2.0**15, "int32": 2.0**31}.get(values.dtype.name, 1.0)).astype(np.float32)
