"""The sound of this machine's microphone, by the sounddevice package."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from kani.cli.sound import CommandFailed
from kani.core.types import Samples

RATE = 16_000
PIECE = 1280
"""Samples of a piece: 80 ms."""


async def microphone(seconds: float) -> AsyncIterator[Samples]:
    """Yield pieces of ``PIECE`` samples at ``RATE`` hertz for some seconds. Raises CommandFailed."""
    try:
        sounddevice: Any = importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:
        raise CommandFailed(f"no microphone: pip install sounddevice ({error})") from error
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[Samples]()

    def take(samples: Samples, *_: object) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, np.asarray(samples)[:, 0].copy())

    try:
        stream = sounddevice.InputStream(
            samplerate=RATE, channels=1, dtype="float32", blocksize=PIECE, callback=take
        )
        with stream:
            for _ in range(round(seconds * RATE / PIECE)):
                yield await pieces.get()
    except sounddevice.PortAudioError as error:
        raise CommandFailed(f"no microphone can be opened ({error})") from error
