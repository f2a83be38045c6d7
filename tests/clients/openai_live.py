"""The wire of OpenAI's Live API, as a client without a library sees it."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kani.core.audio.encoding import AudioFormat, create_encoder, decode_raw
from kani.core.types import Samples
from kani.protocols.openai.realtime.session_config import PCM
from tests.support.patience import WITHIN_S

PIECE_S = 0.04
LOUD = 0.01
AUDIO = "session.output_audio.delta"
SAID, HEARD = "session.output_transcript.delta", "session.input_transcript.delta"

Event = dict[str, Any]


class LiveClient:
    """One session. ``seen`` is every event but audio; ``frames`` is the audio, with the time of each frame.

    Times are those of ``time.monotonic``; ``at_s`` of an event is its place in the audio that came before.
    """

    def __init__(self, websocket: ClientConnection, audio_format: AudioFormat) -> None:
        self.websocket = websocket
        self.seen: list[Event] = []
        self.frames: list[tuple[float, Samples]] = []
        self.close_code: int | None = None
        self._format = audio_format
        self._encoder = create_encoder(audio_format, audio_format.sample_rate)
        self._came = asyncio.Event()
        self._microphone: asyncio.Queue[Samples] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._receive())]

    @property
    def rate(self) -> int:
        return self._format.sample_rate

    @property
    def samples(self) -> Samples:
        return np.concatenate([np.zeros(0, np.float32), *(samples for _, samples in self.frames)])

    async def send(self, kind: str, **fields: Any) -> None:
        await self.websocket.send(json.dumps({"type": kind, **fields}))

    async def _receive(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self.websocket:
                event = json.loads(message)
                if event["type"] == AUDIO:
                    data = base64.b64decode(event["delta"])
                    self.frames.append((time.monotonic(), decode_raw(data, self._format.codec)))
                else:
                    at_s = sum(len(samples) for _, samples in self.frames) / self.rate
                    self.seen.append(event | {"at_s": at_s, "came": time.monotonic()})
                self._came.set()
        self.close_code = self.websocket.close_code
        self._came.set()

    async def until(self, condition: Any) -> None:
        """Wait until a condition holds, which is asked after each event."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                assert self.close_code is None or condition(), self.seen[-3:]
                self._came.clear()
                await self._came.wait()

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.seen if event["type"] == kind]

    async def next(self, kind: str, count: int = 1) -> Event:
        """Wait for the ``count``-th event of a type; returns it."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    def text(self, kind: str = SAID) -> str:
        return "".join(event["delta"] for event in self.of(kind))

    @property
    def loud_s(self) -> list[float]:
        """Places of the frames with sound, in seconds of the output."""
        places, at = [], 0
        for _, samples in self.frames:
            if np.abs(samples).max() > LOUD:
                places.append(at / self.rate)
            at += len(samples)
        return places

    def listen(self) -> None:
        """Send silence at the pace of speech from now on, but for what is said."""
        self._tasks.append(asyncio.create_task(self._speak()))

    async def say(self, *pieces: Samples) -> float:
        """Say into the microphone; returns the time at which all of it was said."""
        said = np.concatenate(pieces)
        size = round(PIECE_S * self.rate)
        for at in range(0, len(said), size):
            piece = said[at : at + size]
            self._microphone.put_nowait(np.pad(piece, (0, size - len(piece))))
        await self._microphone.join()
        return time.monotonic()

    async def _speak(self) -> None:
        due = time.monotonic()
        silence = np.zeros(round(PIECE_S * self.rate), np.float32)
        with suppress(ConnectionClosed):
            while True:
                empty = self._microphone.empty()
                piece = silence if empty else self._microphone.get_nowait()
                await self.append(piece)
                if not empty:
                    self._microphone.task_done()
                due += PIECE_S
                await asyncio.sleep(due - time.monotonic())

    async def append(self, samples: Samples) -> None:
        data = base64.b64encode(self._encoder.feed(samples)).decode()
        await self.send("session.input_audio.append", audio=data)

    async def close(self) -> Event:
        """End the session; returns the last event."""
        await self.send("session.close")
        await self.until(lambda: self.close_code is not None)
        return self.seen[-1]

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def live(
    url: str, audio_format: AudioFormat = PCM, path: str = "/v1/live/sessions", **session: Any
) -> AsyncIterator[LiveClient]:
    """Start a session; its microphone is on."""
    async with connect(url + path, max_size=None) as websocket:
        client = LiveClient(websocket, audio_format)
        try:
            audio = {"format": {"type": audio_format.name, "rate": audio_format.sample_rate}}
            given = {"model": "gpt-live-1", "audio": audio, **session}
            await client.send("session.start", event_id="start", session=given)
            await client.until(lambda: client.seen)
            client.listen()
            yield client
        finally:
            await client.aclose()
