"""Parts that all of Kyutai's clients share.

The clients of this folder are written anew from the originals' source (the scripts of
delayed-streams-modeling, Unmute's backend, InvincibleVoice): they send what those send, wait for what those
wait for, and raise where those do.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import msgspec
import numpy as np

from kani.core.types import Samples

RATE = 24_000
FRAME = 1920
FRAME_S = 0.08
KEY = {"kyutai-api-key": "public_token"}

pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.decode

EOS = pack({"type": "Eos"})


def text_message(words: str) -> bytes:
    return pack({"type": "Text", "text": words})


def audio_message(samples: Samples) -> bytes:
    rows = np.empty(len(samples), [("kind", "u1"), ("value", ">f4")])
    rows["kind"], rows["value"] = 0xCA, samples
    count = len(samples)
    length = b"\xdc" + struct.pack(">H", count) if count < 2**16 else b"\xdd" + struct.pack(">I", count)
    return b"\x82\xa4type\xa5Audio\xa3pcm" + length + rows.tobytes()


def frames_of(samples: Samples) -> list[Samples]:
    """Samples as a microphone gives them: whole frames, the last one filled up with silence."""
    padded = np.pad(samples, (0, -len(samples) % FRAME))
    return [padded[at : at + FRAME] for at in range(0, len(padded), FRAME)]


@asynccontextmanager
async def alongside(work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Let something be done meanwhile; what is not done at the end is given up."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
