"""The three scripts of delayed-streams-modeling."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from kani.core.types import Samples
from tests.clients.kyutai import wire
from tests.clients.kyutai.wire import KEY, alongside, audio_message, frames_of, pack, unpack


@dataclass(frozen=True)
class TimedWord:
    """A recognized word, in seconds of the audio sent; stop_s: None until its end is known."""

    text: str
    start_s: float
    stop_s: float | None = None


class SpeakScript:
    """tts_rust_server.py: a message a word, no look at Ready, a sound card with blocks of 1,920 samples."""

    def __init__(self, url: str, voice: str = "expresso/ex03-ex01_happy_001_channel1_334s.wav") -> None:
        query = urlencode({"voice": voice, "format": "PcmMessagePack"})
        self._url = f"{url}/api/tts_streaming?{query}"

    async def speak(self, text: str) -> Samples:
        """Return the speech. Raises ConnectionClosedError unless the end is a clean close."""
        async with connect(self._url, additional_headers=KEY) as socket:
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


class ListenScript:
    """stt_from_file_rust_server.py: a second of silence, the file, five more, a marker, 35 after it."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/asr-streaming"

    async def transcribe(self, samples: Samples, pace: float) -> list[TimedWord]:
        """The words up to the marker; ``pace`` is seconds of audio sent in a second."""
        words: list[TimedWord] = []
        async with connect(self._url, additional_headers=KEY) as socket:
            async with alongside(self._send(socket, samples, pace)) as sending:
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

    async def _send(self, socket: ClientConnection, samples: Samples, pace: float) -> None:
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


class MicrophoneScript:
    """stt_from_mic_rust_server.py: prints words as they come, and "|" where a pause of 2 s is likely."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/asr-streaming"
        self.line = ""

    async def listen(self, samples: Samples) -> None:
        """Print until a second pause comes or the microphone ends; then Ctrl+C."""
        async with connect(self._url, additional_headers=KEY) as socket:
            spoken = False
            async with alongside(self._send(socket, samples)):
                async for message in socket:
                    data = unpack(message)
                    if data["type"] == "Step" and data["prs"][2] > 0.5 and spoken:
                        self.line, spoken = self.line + "| ", False
                        if self.line.count("|") == 2:
                            break
                    elif data["type"] == "Word":
                        self.line, spoken = self.line + data["text"] + " ", True

    async def _send(self, socket: ClientConnection, samples: Samples) -> None:
        began = time.monotonic()
        for number, frame in enumerate(frames_of(samples), 1):
            await asyncio.sleep(began + number * wire.FRAME_S - time.monotonic())
            await socket.send(audio_message(frame))
