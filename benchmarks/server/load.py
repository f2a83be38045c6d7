"""Many streams at once, and idle connections.

streams: 100 clients stream about a minute of text each from espeak-ng, and play it in real time. A
client requests pieces of 0.4 s, takes one when the piece before it begins to play, and has no more
than 64 KiB in its socket, so that the server has to wait for it. A piece is late when it is there
only after the piece before it has been heard. Three rounds, with the server's resident memory, and how
late its event loop was at most in 99 of 100 samples.

many: the same with 200 clients, one round.

idle: 2,000 connections that were opened, sent a ping, and are left idle until the server has
pinged each of them; what the server's resident memory grew by.
"""

from __future__ import annotations

import asyncio
import json
import math
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from benchmarks.playback_client import SAMPLE_RATE, connected, parse
from benchmarks.report import measure, median, mib, ms, percentile, table
from benchmarks.sentences import one_minute_text
from benchmarks.server_process import HOST, Server

STREAMS = 100
ROUNDS = 3
MANY = 200
PIECE_FRAMES = 5
SOCKET_BYTES = 64 * 1024
IDLE = 2000
OPENING = 100
"""Connections that are opened concurrently."""
# The server pings every 20 s.
LEFT_ALONE_S = 25.0
FILES_BESIDES = 256
PING = '{"type":"ping","data":{}}'


@dataclass(slots=True)
class Playback:
    """Measurements of one client, or of all clients of a round; seconds."""

    first: list[float] = field(default_factory=list)  # waits for the first piece
    pieces: int = 0  # further pieces
    lateness: list[float] = field(default_factory=list)  # of the late pieces
    seconds: float = 0.0  # of audio that was played


async def play(port: int, text: str, played: Playback, language: str = "spanish") -> None:
    """Request ``text`` and play it in real time."""
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
        own.setblocking(False)
        await asyncio.get_running_loop().sock_connect(own, (HOST, port))
        async with connect(
            f"ws://{HOST}:{port}/", sock=own, max_size=None, max_queue=1, compression=None, ping_interval=None
        ) as websocket:
            config = {"language": language, "chunk_size": PIECE_FRAMES}
            sent = time.perf_counter()
            await websocket.send(
                json.dumps({"type": "tts_stream_request", "data": {"text": text, "config": config}})
            )
            begins = ends = 0.0
            while True:
                kind, samples = parse(await websocket.recv())
                now = time.perf_counter()
                if kind != "tts_stream_chunk":
                    return
                if samples is None or not len(samples):
                    continue
                if not ends:
                    played.first.append(now - sent)
                else:
                    played.pieces += 1
                    if now > ends:
                        played.lateness.append(now - ends)
                begins = max(now, ends)
                ends = begins + len(samples) / SAMPLE_RATE
                played.seconds += len(samples) / SAMPLE_RATE
                # The next one is due when this one begins to play: no player keeps more.
                await asyncio.sleep(begins - time.perf_counter())


@asynccontextmanager
async def sample_memory(server: Server, every_s: float) -> AsyncIterator[list[int]]:
    """Sample the server's resident memory every ``every_s`` seconds while the body runs."""
    memory = [server.memory_bytes()]

    async def watch() -> None:
        while True:
            await asyncio.sleep(every_s)
            memory.append(server.memory_bytes())

    watching = asyncio.create_task(watch())
    try:
        yield memory
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def round_of_streams(server: Server, count: int) -> tuple[Playback, list[int]]:
    """Run ``count`` streams at once; return their playback, and the server's memory each second."""
    played = Playback()
    async with sample_memory(server, 1.0) as memory, asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(play(server.port, one_minute_text(number), played))
    return played, memory


def loop_lag(server: Server) -> dict[float, float]:
    """Return the cumulative counts of the event loop's lag, by each bucket's upper bound in seconds."""
    answer = httpx2.get(f"http://{HOST}:{server.port}/metrics").raise_for_status()
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "kani_event_loop_lag_seconds_bucket"
    }


def lag_percentile(before: Mapping[float, float], after: Mapping[float, float], percent: float) -> float:
    """Return an upper bound of the lag's percentile in seconds: that of its bucket."""
    counts = {bound: count - before[bound] for bound, count in after.items()}
    least = counts[math.inf] * percent / 100
    return min(bound for bound, count in counts.items() if count >= least)


def streams(count: int = STREAMS, rounds: int = ROUNDS) -> None:
    """Measure ``count`` concurrent streams."""
    rows = []
    with Server("--engine", "espeak") as server:
        for number in range(rounds):
            before = loop_lag(server)
            played, memory = asyncio.run(round_of_streams(server, count))
            quarters = [memory[round(share * (len(memory) - 1))] for share in (0, 0.25, 0.5, 0.75, 1)]
            rows.append(
                [
                    str(number + 1),
                    f"{played.seconds / count:.0f} s",
                    f"{ms(median(played.first))}, p99 {ms(percentile(played.first, 99))}",
                    f"{len(played.lateness)} of {played.pieces}",
                    ms(max(played.lateness, default=0.0)),
                    f"≤ {ms(lag_percentile(before, loop_lag(server), 99))}",
                    " → ".join(mib(size).removesuffix(" MiB") for size in quarters) + " MiB",
                    mib(max(memory)),
                ]
            )
    head = (
        *("round", "audio each", "first audio, median", "late pieces", "latest by", "event loop, p99"),
        *("server's memory, by quarters of the round", "most"),
    )
    print(f"{count} espeak-ng streams of about a minute, read at real time:\n")
    print(table(head, rows) + "\n", flush=True)


async def hold_idle(server: Server) -> tuple[int, int, int, int]:
    """Return the memory before, with all connections open, after their idle time, and after their close."""
    async with connected(server.url) as websocket:
        await websocket.send(PING)
        await websocket.recv()
    before = server.memory_bytes()
    opening = asyncio.Semaphore(OPENING)
    async with AsyncExitStack() as stack:

        async def open_one() -> None:
            async with opening:
                websocket = await stack.enter_async_context(connected(server.url))
                await websocket.send(PING)
                await websocket.recv()

        async with asyncio.TaskGroup() as group:
            for _ in range(IDLE):
                group.create_task(open_one())
        opened = server.memory_bytes()
        await asyncio.sleep(LEFT_ALONE_S)
        idle = server.memory_bytes()
    return before, opened, idle, server.memory_bytes()


def idle() -> None:
    """Measure 2,000 idle connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < IDLE + FILES_BESIDES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE + FILES_BESIDES), hard))
    with Server("--engine", "espeak") as server:
        before, opened, left, after = asyncio.run(hold_idle(server))
    each, each_later = (f"{(size - before) / IDLE / 1024:.1f} KiB" for size in (opened, left))
    row = [mib(before), mib(opened), each, mib(left), each_later, mib(after)]
    head = ("before", "open", "for each", f"left alone {LEFT_ALONE_S:g} s", "for each", "after all have gone")
    print(f"{IDLE} idle connections, the server's resident memory:\n")
    print(table(head, [row]) + "\n", flush=True)


PARTS: dict[str, Callable[[], None]] = {
    "streams": streams,
    "many": partial(streams, MANY, 1),
    "idle": idle,
}


if __name__ == "__main__":
    measure("server.load", __doc__, "Load", PARTS, "psutil")
