"""The three scripts of delayed-streams-modeling, and InvincibleVoice."""

import asyncio
import struct
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
from websockets.asyncio.client import connect

from kani.core.types import Samples
from tests.clients.kyutai import wire
from tests.clients.kyutai.wire import KEY, alongside, audio_message, frames_of, pack, unpack


@dataclass(frozen=True)
class TimedWord:
    """A recognized word, in seconds of the audio sent; stop_s: None until its end is known."""

    text: str
    start_s: float
    stop_s: float | None = None


async def speak_script(
    url: str, text: str, voice: str = "expresso/ex03-ex01_happy_001_channel1_334s.wav"
) -> Samples:
    """tts_rust_server.py: a message a word, no look at Ready, a sound card with blocks of 1,920 samples.

    Raises ConnectionClosedError unless the end is a clean close.
    """
    query = urlencode({"voice": voice, "format": "PcmMessagePack"})
    async with connect(f"{url}/api/tts_streaming?{query}", additional_headers=KEY) as socket:
        blocks: list[Samples] = []

        async def receive() -> None:
            async for message in socket:
                data = unpack(message)
                if data["type"] == "Audio":
                    block = np.empty((wire.FRAME, 1), np.float32)
                    block[:, 0] = data["pcm"]
                    blocks.append(block[:, 0])

        async with alongside(receive()) as receiving:
            for word in text.split():
                await socket.send(pack({"type": "Text", "text": word}))
            await socket.send(pack({"type": "Eos"}))
            await receiving
    return np.concatenate(blocks)


async def listen_script(url: str, samples: Samples, pace: float) -> list[TimedWord]:
    """stt_from_file_rust_server.py: a second of silence, the file, five more, a marker, 35 after it.

    Returns the words up to the marker; ``pace`` is seconds of audio sent in a second.
    """
    words: list[TimedWord] = []
    async with connect(f"{url}/api/asr-streaming", additional_headers=KEY) as socket:

        async def send() -> None:
            second = audio_message(np.zeros(wire.RATE, np.float32))
            await socket.send(second)
            began = time.monotonic()
            for number, frame in enumerate(frames_of(samples), 1):
                await socket.send(audio_message(frame))
                await asyncio.sleep(max(0.001, began + number * wire.FRAME_S / pace - time.monotonic()))
            for _ in range(5):
                await socket.send(second)
            await socket.send(pack({"type": "Marker", "id": 0}))
            for _ in range(35):
                await socket.send(second)

        async with alongside(send()) as sending:
            async for message in socket:
                assert isinstance(message, bytes)
                data = unpack(message)
                if data["type"] == "Word":
                    words.append(TimedWord(data["text"], data["start_time"]))
                elif data["type"] == "EndWord":
                    # It pops the word that is open: an end without a word would break it.
                    words.append(TimedWord(words[-1].text, words.pop().start_s, data["stop_time"]))
                elif data["type"] == "Marker":
                    break
            # It does not wait for what it sends after the marker to be heard.
            await sending
    return words


async def microphone_script(url: str, samples: Samples) -> str:
    """stt_from_mic_rust_server.py: prints words as they come, and "|" where a pause of 2 s is likely.

    Returns what it has printed when a second pause comes or the microphone ends; then Ctrl+C.
    """
    async with connect(f"{url}/api/asr-streaming", additional_headers=KEY) as socket:

        async def send() -> None:
            began = time.monotonic()
            for number, frame in enumerate(frames_of(samples), 1):
                await asyncio.sleep(began + number * wire.FRAME_S - time.monotonic())
                await socket.send(audio_message(frame))

        line, spoken = "", False
        async with alongside(send()):
            async for message in socket:
                data = unpack(message)
                if data["type"] == "Step" and data["prs"][2] > 0.5 and spoken:
                    line, spoken = f"{line}| ", False
                    if line.count("|") == 2:
                        break
                elif data["type"] == "Word":
                    line, spoken = f"{line}{data['text']} ", True
    return line


async def invincible_speech(http_url: str, text: str, voice: str) -> Samples:
    """Speech out by one POST."""
    asked = {"text": text, "voice": voice, "temperature": 0.8}
    async with httpx.AsyncClient(timeout=300) as client:
        answer = await client.post(f"{http_url}/api/tts_streaming", json=asked, headers=KEY)
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"
    riff, size, wave, fmt, _, kind, channels, rate, _, _, bits, data, length = struct.unpack_from(
        "<4sI4s4sIHHIIHH4sI", answer.content
    )
    assert (riff, wave, fmt, data) == (b"RIFF", b"WAVE", b"fmt ", b"data")
    assert (kind, channels, rate, bits, size, length) == (1, 1, wire.RATE, 16, 0xFFFFFFFF, 0xFFFFFFFF)
    return np.frombuffer(answer.content[44:], "<i2").astype(np.float32) / 32768


async def invincible_words(url: str, samples: Samples) -> list[str]:
    """Speech in by a WebSocket: the address whole, as it is set; binary frames, Ready before all else."""
    async with connect(f"{url}/api/asr-streaming", additional_headers=KEY) as socket:
        first: Any = await socket.recv()
        assert isinstance(first, bytes) and unpack(first) == {"type": "Ready"}
        for frame in frames_of(samples):
            await socket.send(audio_message(frame))
        await socket.send(pack({"type": "Marker", "id": 1}))
        for _ in range(30):
            await socket.send(audio_message(np.zeros(wire.FRAME, np.float32)))
        words: list[str] = []
        async for message in socket:
            assert isinstance(message, bytes)
            data = unpack(message)
            if data["type"] == "Word":
                words.append(data["text"])
            elif data["type"] == "Marker":
                break
        return words
