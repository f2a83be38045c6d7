"""InvincibleVoice: speech out by one POST, speech in by a WebSocket."""

import struct
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import connect

from kani.core.types import Samples
from tests.clients.kyutai.wire import FRAME, KEY, RATE, audio_message, frames_of, pack, unpack


async def invincible_speech(http_url: str, text: str, voice: str) -> Samples:
    asked = {"text": text, "voice": voice, "temperature": 0.8}
    async with httpx.AsyncClient(timeout=300) as client:
        answer = await client.post(f"{http_url}/api/tts_streaming", json=asked, headers=KEY)
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"
    riff, size, wave, fmt, _, kind, channels, rate, _, _, bits, data, length = struct.unpack_from(
        "<4sI4s4sIHHIIHH4sI", answer.content
    )
    assert (riff, wave, fmt, data) == (b"RIFF", b"WAVE", b"fmt ", b"data")
    assert (kind, channels, rate, bits, size, length) == (1, 1, RATE, 16, 0xFFFFFFFF, 0xFFFFFFFF)
    return np.frombuffer(answer.content[44:], "<i2").astype(np.float32) / 32768


async def invincible_words(url: str, samples: Samples) -> list[str]:
    """The address whole, as it is set; binary frames, Ready before anything else."""
    async with connect(f"{url}/api/asr-streaming", additional_headers=KEY) as socket:
        first: Any = await socket.recv()
        assert isinstance(first, bytes) and unpack(first) == {"type": "Ready"}
        for frame in frames_of(samples):
            await socket.send(audio_message(frame))
        await socket.send(pack({"type": "Marker", "id": 1}))
        for _ in range(30):
            await socket.send(audio_message(np.zeros(FRAME, np.float32)))
        words: list[str] = []
        async for message in socket:
            assert isinstance(message, bytes)
            data = unpack(message)
            if data["type"] == "Word":
                words.append(data["text"])
            elif data["type"] == "Marker":
                break
        return words
