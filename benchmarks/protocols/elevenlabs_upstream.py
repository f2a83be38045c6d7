"""Delay that the server adds to each message of the engine elevenlabs.

A substitute of ElevenLabs' service on this machine sends recorded frames, 250 ms of audio each, with a pause
in between. One client connects to it directly, another through the server, and a third through the server's
relay, in turn. A message's delay ends when the client has the first half of its audio: the server holds back
less than half of a message, so that the joints are right.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import connect

from benchmarks.playback_client import connected, parse
from benchmarks.report import median, ms, percentile, report_section, table
from benchmarks.server_process import Server
from tests.support.elevenlabs_service import (
    FINAL,
    KEY,
    PIECE_S,
    RATE,
    VOICE,
    ElevenLabsService,
    Exchange,
    frames,
    pieces,
    running,
    tone,
)

ROUNDS = 20
PAUSE_S = 0.05
CLIENT_RATE = 22_050
TEXT = "The small museum behind the station keeps a collection of old maps, and nobody knows who drew them."

Delays = list[float]


class Paced:
    """Speaks in paced messages; ``sent_at`` has the time of each message of the last text."""

    def __init__(self) -> None:
        self.sent_at: list[float] = []

    async def speak(self, exchange: Exchange) -> None:
        """Serve one client."""
        self.sent_at = []
        async for text in pieces(exchange):
            for frame in frames(text, *tone(text), synchronous=True, said_s=0.0):
                self.sent_at.append(time.perf_counter())
                await exchange.send(frame)
                await asyncio.sleep(PAUSE_S)
        await exchange.send(FINAL)
        await exchange.socket.close(1000, "")

    def delays(self, arrivals: list[tuple[float, float]]) -> Delays:
        """Return the seconds from each message to the arrival of half its audio.

        arrivals: times, and the seconds of audio received by then.
        """
        found = []
        for number, sent_at in enumerate(self.sent_at):
            wanted_s = (number + 0.5) * PIECE_S
            if (at := next((at for at, there_s in arrivals if there_s >= wanted_s), None)) is not None:
                found.append(at - sent_at)
        return found


async def direct(url: str) -> list[tuple[float, float]]:
    """Receive from the service directly."""
    arrivals, there_s = [], 0.0
    address = f"{url.replace('http', 'ws')}/v1/text-to-speech/{VOICE}/stream-input?sync_alignment=true"
    async with connect(address, additional_headers={"xi-api-key": KEY}, compression=None) as socket:
        for text in (" ", TEXT, ""):
            await socket.send(json.dumps({"text": text}))
        async for raw in socket:
            frame = json.loads(raw)
            if frame["audio"]:
                there_s += len(base64.b64decode(frame["audio"])) / 2 / RATE
                arrivals.append((time.perf_counter(), there_s))
    return arrivals


async def through_kani(socket: Any) -> list[tuple[float, float]]:
    """Receive by this server's own protocol."""
    arrivals, there_s = [], 0.0
    data = {"text": TEXT, "config": {"language": "english"}}
    await socket.send(json.dumps({"type": "tts_stream_request", "data": data}))
    while True:
        kind, samples = parse(await socket.recv())
        if samples is None or kind != "tts_stream_chunk":
            return arrivals
        there_s += len(samples) / CLIENT_RATE
        arrivals.append((time.perf_counter(), there_s))


async def through_relay(socket: Any) -> list[tuple[float, float]]:
    """Receive by the relay's protocol."""
    arrivals, there_s = [], 0.0
    await socket.send(json.dumps({"action": "start_tts", "text": TEXT}))
    while True:
        message = json.loads(await socket.recv())
        if message["type"] != "chunk":
            return arrivals
        there_s += len(base64.b64decode(message["audio"])) / 2 / CLIENT_RATE
        arrivals.append((time.perf_counter(), there_s))


@asynccontextmanager
async def served(service: ElevenLabsService) -> AsyncIterator[Server]:
    """Run the server with ``service`` as its engine; this event loop serves it meanwhile."""
    server = Server(
        *("--engine", "elevenlabs"),
        ELEVEN_API_KEY=KEY,
        ELEVEN_VOICE_ID=VOICE,
        KANI_ELEVENLABS_URL=service.url,
        KANI_RECOGNIZER="none",
    )
    await asyncio.to_thread(server.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def measure() -> list[list[str]]:
    """Return the rows of the table."""
    found: dict[str, Delays] = {"directly": [], "through Kani's protocol": [], "through the relay": []}
    paced = Paced()
    async with running() as service, served(service) as server:
        async with connected(server.url) as kani, connected(f"{server.url}stream_tts") as relay:
            asked: dict[str, Callable[[], Any]] = {
                "directly": lambda: direct(service.url),
                "through Kani's protocol": lambda: through_kani(kani),
                "through the relay": lambda: through_relay(relay),
            }
            for number in range(ROUNDS + 1):
                for name, ask in asked.items():
                    service.answers = [paced.speak]
                    arrivals = await ask()
                    if number:
                        found[name] += paced.delays(arrivals)
    alone = median(found["directly"])
    return [
        [
            name,
            str(len(delays)),
            ms(median(delays)),
            ms(percentile(delays, 99)),
            ms(median(delays) - alone) if name != "directly" else "",
        ]
        for name, delays in found.items()
    ]


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.protocols.elevenlabs_upstream", description=__doc__
    ).parse_args()
    with report_section("Relaying ElevenLabs"):
        rows = asyncio.run(measure())
        print(table(("a client", "messages", "delay, median", "p99", "added, median (goal: 5 ms)"), rows))


if __name__ == "__main__":
    main()
