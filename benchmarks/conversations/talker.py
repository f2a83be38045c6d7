"""A client of conversations: a microphone that is always on, and a loudspeaker that it may hear."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import numpy as np
import soxr
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.recognition.clips import JUDGING_VOICES
from benchmarks.recognition.clips import SAMPLE_RATE as CLIP_RATE
from benchmarks.recognition.realtime_socket import PIECE_S, RATE
from benchmarks.server_process import HOST
from kani.core.audio.pcm import pcm16
from kani.core.types import Samples

DELTA = "response.output_audio.delta"
STARTED = "input_audio_buffer.speech_started"

ROOM = np.float32(10 ** (-65 / 20))
"""Amplitude of the noise of a quiet room."""

ROOM_S = 0.2
"""Seconds from when audio is played until the microphone hears it."""

_PIECE = round(PIECE_S * RATE)


class Talker:
    """One conversation; as on the page an answer rests while a voice over it is judged."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.events: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()
        self.echo = 0.0
        """Part of the loudspeaker's amplitude that the microphone hears."""
        self.noise = float(ROOM)
        """Amplitude of the noise that the microphone hears."""
        self.played_s = 0.0
        """Seconds of answers that were played."""
        self._websocket = websocket
        self._said: list[Samples] = []
        self._begins = asyncio.Event()
        self._begun = 0.0
        self._answer = np.zeros(0, np.float32)  # that is not played yet
        self._rests = False
        self._played = asyncio.Event()  # set while nothing is left to play
        silence = np.zeros(_PIECE, np.float32)
        random = np.random.default_rng(0)
        self._noise = (random.standard_normal(_PIECE).astype(np.float32) for _ in count())
        self._room = deque([silence] * round(ROOM_S / PIECE_S))

    @property
    def left_s(self) -> float:
        """Seconds of the answer that have come and are not played yet."""
        return len(self._answer) / RATE

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        await self._websocket.send(json.dumps({"type": kind, **fields}))

    async def listen(self) -> None:
        """Keep the events, each with the time of its arrival, and play the answers."""
        async for message in self._websocket:
            event = json.loads(message)
            if event["type"] == DELTA:
                samples = np.frombuffer(base64.b64decode(event["delta"]), "<i2") / np.float32(32768)
                self._answer = np.concatenate([self._answer, samples])
                self._played.clear()
            elif event["type"] == STARTED:
                self._answer, self._rests = self._answer[:0], False
            elif "state" in event.get("details", {}):
                self._rests = event["details"]["state"] == "heard"
            self.events.put_nowait((time.perf_counter(), event))

    async def record(self) -> None:
        """Send what is said at the pace of speech, silence otherwise, and what the room adds."""
        number, begun = 0, time.perf_counter()
        waiting = np.zeros(0, np.float32)
        while True:
            number += 1
            await asyncio.sleep(begun + number * PIECE_S - time.perf_counter())
            if self._said:
                waiting = self._said.pop()
                self._begun = begun + (number - 1) * PIECE_S
                self._begins.set()
            piece, waiting = waiting[:_PIECE], waiting[_PIECE:]
            self._room.append(self._play())
            echo, noise = (
                np.float32(self.echo) * self._room.popleft(),
                np.float32(self.noise) * next(self._noise),
            )
            heard = _padded(piece) + echo + noise
            await self.send("input_audio_buffer.append", audio=base64.b64encode(pcm16(heard)).decode())

    def _play(self) -> Samples:
        if self._rests:
            return np.zeros(_PIECE, np.float32)
        playing, self._answer = self._answer[:_PIECE], self._answer[_PIECE:]
        self.played_s += len(playing) / RATE
        if not len(self._answer):
            self._played.set()
        return _padded(playing)

    async def say(self, samples: Samples) -> float:
        """Speak 16 kHz samples into the microphone; returns when their first one was spoken."""
        self._begins.clear()
        self._said.append(soxr.resample(samples, CLIP_RATE, RATE).astype(np.float32))
        await self._begins.wait()
        return self._begun

    async def until_played(self) -> None:
        """Return once all of the answers that have come is played."""
        await self._played.wait()

    async def until(self, kind: str) -> tuple[float, dict[str, Any]]:
        """Return the next event of a type, and when it came."""
        while True:
            at_s, event = await self.events.get()
            if event["type"] == kind:
                return at_s, event


@asynccontextmanager
async def talker(
    port: int, language: str, detection: str, answers: str, voice: str | None = None
) -> AsyncIterator[Talker]:
    """Open a conversation in a language with the server at a port of this machine.

    answers: a word for the endpoint, in the instructions; voice: of the answers, by default one of Kokoro's.
    """
    address = f"ws://{HOST}:{port}/v1/realtime?model=any"
    # A lost connection ends the conversation with its error. A busy machine answers no ping in time.
    async with (
        connect(address, max_size=None, ping_interval=None) as websocket,
        asyncio.TaskGroup() as tasks,
    ):
        client = Talker(websocket)
        listening = tasks.create_task(client.listen())
        await client.until("session.created")
        given = {"transcription": {"language": language}, "turn_detection": {"type": detection}}
        session = {
            "type": "realtime",
            "instructions": f"{language} {answers}",
            "audio": {"input": given, "output": {"voice": voice or JUDGING_VOICES[language][0]}},
        }
        await client.send("session.update", session=session)
        await client.until("session.updated")
        recording = tasks.create_task(client.record())
        try:
            yield client
        finally:
            recording.cancel()
            listening.cancel()


def _padded(piece: Samples) -> Samples:
    return np.concatenate([piece, np.zeros(_PIECE - len(piece), np.float32)])
