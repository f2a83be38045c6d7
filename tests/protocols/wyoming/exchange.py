"""Exchanges with a server of Wyoming, by the reference implementation's own client."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
from wyoming.audio import AudioChunk, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

from tests.protocols.wyoming.home_assistant import HOST, RATE
from tests.support.loudness import STEP

LAST = {"synthesize-stopped", "audio-stop", "transcript-stop", "error", "pong", "info"}
"""Events that end an answer. Speech that is streamed goes on after its ``audio-stop``."""


def client(port: int) -> AsyncTcpClient:
    return AsyncTcpClient(HOST, port)


async def read_all(connected: AsyncTcpClient) -> list[Event]:
    events = []
    while (event := await connected.read_event()) is not None:
        events.append(event)
    return events


async def read_until(connected: AsyncTcpClient, last: str) -> list[Event]:
    events: list[Event] = []
    while not events or events[-1].type != last:
        event = await connected.read_event()
        assert event is not None, f"the connection ended before {last}, after {events}"
        events.append(event)
    return events


async def send(connected: AsyncTcpClient, *sent: Event) -> None:
    for event in sent:
        await connected.write_event(event)


async def ask(port: int, *sent: Event, last: str) -> list[Event]:
    """Send events on a connection of their own; the answers up to one of the type ``last``."""
    async with client(port) as connected:
        await send(connected, *sent)
        return await read_until(connected, last)


def types(events: Iterable[Event]) -> list[str]:
    """Types of events, several chunks in a row as one."""
    found: list[str] = []
    for event in events:
        if not (found and found[-1] == event.type and event.type.endswith("chunk")):
            found.append(event.type)
    return found


def audio(events: Iterable[Event]) -> bytes:
    return b"".join(event.payload or b"" for event in events if event.type == "audio-chunk")


def steps(*loud: bool) -> list[bytes]:
    """16-bit PCM of 16 kHz, a loud or a quiet piece for each step of the recogniser."""
    return [np.full(STEP, 20_000 if each else 0, "<i2").tobytes() for each in loud]


def chunk(pcm: bytes, rate: int = RATE, width: int = 2, channels: int = 1) -> Event:
    return AudioChunk(rate, width, channels, pcm).event()


STOP = AudioStop().event()


async def answer_to(port: int, raw: bytes, *, ends: bool = False) -> bytes:
    """All that a connection is answered; ends: its client sends no more."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(raw)
    if ends:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return answer
