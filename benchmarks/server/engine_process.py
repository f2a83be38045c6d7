"""Engines in processes of their own, beside the same engine in the server's process.

first_audio: time of an engine's first chunk, by a worker and in this process in turn. cost: processor time
of a server and its children for each second of speech, with and without --engine-process in turn. kills: 20
times kill -9 of the worker under 100 espeak-ng streams. slow: 200 clients that take nothing, the resident
memory of the server and of the worker, and the first audio of another client. messages: messages and bytes of
a stream on the worker's socket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import psutil
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection

from benchmarks import single_engine
from benchmarks.playback_client import connected, request_speech
from benchmarks.report import measure, median, mib, ms, percentile, table
from benchmarks.sentences import WITHOUT_EARLY_PHRASE, mixed, one_minute_text
from benchmarks.server_process import Server
from kani.core.engine import Engine
from kani.core.errors import EngineFailed
from kani.core.types import Segment
from kani.engines.remote.channel import Channel
from kani.engines.remote.messages import encode
from kani.engines.restarts import Restarts
from kani.server import settings
from kani.server.speech_service import build_engines

FIRST_AUDIO = (("espeak", 10, 20), ("kokoro", 2, 4))
"""Engines, rounds, and sentences of each round."""
COST_ROUNDS, COST_STREAMS = 4, 6
KILLS, STREAMS = 20, 100
HEARD_BETWEEN = 10
"""Segments that are spoken to their end between two kills."""
SLOW_CLIENTS = 200
SLOW_S = 8.0
BESIDE = 20
"""Requests of another client beside them."""
PROCESS = "--engine-process"
SENTENCES = mixed(WITHOUT_EARLY_PHRASE)


@asynccontextmanager
async def engine_in_process(name: str, registry: CollectorRegistry) -> AsyncIterator[Engine]:
    """Yield an engine in a process of its own, started."""
    chosen = settings.load({"engine": name, "threads": single_engine.THREADS})
    (engine,) = build_engines(chosen, registry, restarts=Restarts(registry)).required
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def worker_of(process: psutil.Process) -> psutil.Process:
    """Return the worker among the children of a process."""
    return next(
        one for one in process.children() if any("kani.engines.worker" in part for part in one.cmdline())
    )


async def _first_audio(name: str, rounds: int, sentences: int) -> list[str]:
    own, remote, added = [], [], []
    async with (
        single_engine.started_engine(name) as alone,
        engine_in_process(name, CollectorRegistry()) as apart,
    ):
        spoken = [each for each in SENTENCES if each[0] in alone.info.default_voices][:sentences]
        for number in range(rounds + 1):
            for language, text in spoken:
                one = (await single_engine.speak(alone, language, text)).first_s
                other = (await single_engine.speak(apart, language, text)).first_s
                if number:
                    own.append(one)
                    remote.append(other)
                    added.append(other - one)
    return [
        name,
        str(len(added)),
        ms(median(own)),
        ms(median(remote)),
        ms(median(added)),
        ms(percentile(added, 90)),
    ]


def first_audio() -> None:
    """Measure the first chunk of an engine."""
    head = ("engine", "sentences", "in the server", "in a process", "added, median", "added, 90 %")
    for each in FIRST_AUDIO:
        print(table(head, [asyncio.run(_first_audio(*each))]) + "\n", flush=True)


def _processor_s(server: Server) -> tuple[float, float]:
    """Return the processor seconds of a server with its children, and of just its own process."""
    process = psutil.Process(server.process_id)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    # Each text of espeak-ng is spoken by a fork that its process has reaped.
    total = sum(one.user + one.system + one.children_user + one.children_system for one in times)
    return total, times[0].user + times[0].system


async def _speak_streams(server: Server, number: int) -> float:
    async def stream(each: int) -> float:
        async with connected(server.url) as websocket:
            return (await request_speech(websocket, "es", one_minute_text(each))).duration_s

    return sum(await asyncio.gather(*(stream(COST_STREAMS * number + each) for each in range(COST_STREAMS))))


def cost() -> None:
    """Measure the processor time of a second of speech."""
    spent: dict[str, list[float]] = {"": [], PROCESS: []}
    fronts: list[float] = []
    with Server("--engine", "espeak") as inside, Server("--engine", "espeak", PROCESS) as apart:
        for number in range(COST_ROUNDS + 1):
            for kind, server in (("", inside), (PROCESS, apart)):
                before = _processor_s(server)
                seconds = asyncio.run(_speak_streams(server, number))
                if number:
                    after = _processor_s(server)
                    spent[kind].append((after[0] - before[0]) / seconds)
                    if kind == PROCESS:
                        fronts.append((after[1] - before[1]) / seconds)
    inside_s, apart_s = median(spent[""]), median(spent[PROCESS])
    row = [
        ms(inside_s),
        ms(apart_s),
        f"{1e6 * (apart_s - inside_s):.0f} µs",
        f"{apart_s / inside_s - 1:+.1%}",
        ms(median(fronts)),
    ]
    print(f"{COST_ROUNDS} rounds of {COST_STREAMS} streams of a minute, espeak-ng, read at once:\n")
    head = ("in the server, a stream-second", "in a process", "added", "share", "of it the server itself")
    print(table(head, [row]) + "\n", flush=True)


class _Crowd:
    """Streams that speak one segment after another, until they are stopped."""

    def __init__(self, engine: Engine, registry: CollectorRegistry) -> None:
        self.engine = engine
        self._registry = registry
        self.finished = self.failed = self.unheard_lost = 0
        self.kills = 0
        self.killed_at = 0.0
        self.latest_s = 0.0
        self.first_again_s: float | None = None
        self.moved = asyncio.Event()
        """Set with each first chunk and each end of a segment."""

    def restarts(self) -> float | None:
        """Number of workers that were started again."""
        return self._registry.get_sample_value("kani_engine_restarts_total", {"engine": "espeak"})

    async def until_finished(self, count: int) -> None:
        """Return once ``count`` segments were spoken to their end."""
        while self.finished < count:
            self.moved.clear()
            await self.moved.wait()

    async def until_heard_again(self) -> float:
        """Return the seconds from the last kill to the first chunk of the next worker."""
        while self.first_again_s is None:
            self.moved.clear()
            await self.moved.wait()
        return self.first_again_s

    async def stream(self, number: int) -> None:
        text = one_minute_text(number)[:300]
        while True:
            await self._speak(Segment(text, "espeak:es", "es"))

    async def _speak(self, segment: Segment) -> None:
        heard = False
        try:
            async with aclosing(self.engine.synthesize(segment)) as chunks:
                async for _ in chunks:
                    heard = True
                    if self.first_again_s is None and self.restarts() == self.kills:
                        self.first_again_s = time.perf_counter() - self.killed_at
                        self.moved.set()
                    await asyncio.sleep(0)
            self.finished += 1
            self.moved.set()
        except EngineFailed:
            self.failed += 1
            self.unheard_lost += not heard
            self.latest_s = max(self.latest_s, time.perf_counter() - self.killed_at)


async def _kills() -> None:
    before = {task.get_name() for task in asyncio.all_tasks()}
    again: list[float] = []
    registry = CollectorRegistry()
    async with engine_in_process("espeak", registry) as engine:
        crowd = _Crowd(engine, registry)
        streams = [asyncio.create_task(crowd.stream(number)) for number in range(STREAMS)]
        memory = []
        for _ in range(KILLS):
            await crowd.until_finished(crowd.finished + HEARD_BETWEEN)
            memory.append(psutil.Process().memory_info().rss)
            crowd.kills += 1
            crowd.killed_at, crowd.first_again_s = time.perf_counter(), None
            worker_of(psutil.Process()).kill()
            again.append(await crowd.until_heard_again())
        for task in streams:
            task.cancel()
        await asyncio.wait(streams)
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name() not in before]
    row = [
        str(crowd.finished),
        str(crowd.failed),
        str(crowd.unheard_lost),
        ms(crowd.latest_s),
        f"{median(again):.2f} s, {max(again):.2f} s",
        f"{len(left)}, {len(psutil.Process().children())}",
        f"{mib(memory[0])}, {mib(memory[-1])}",
    ]
    head = (
        *("segments finished", "failed", "failed unheard", "latest failure after the kill"),
        *("audio again: median, most", "tasks, processes left", "memory: first kill, last kill"),
    )
    print(f"kill -9 of the worker, {KILLS} times under {STREAMS} streams:\n")
    print(table(head, [row]) + "\n", flush=True)


def kills() -> None:
    """Kill the worker under load."""
    asyncio.run(_kills())


async def _slow(server: Server) -> list[str]:
    process = psutil.Process(server.process_id)
    worker = worker_of(process)
    async with connected(server.url) as websocket:
        await request_speech(websocket, "es", one_minute_text(0))
    sizes = [(process.memory_info().rss, worker.memory_info().rss)]
    slow_clients: list[ClientConnection] = []
    async with AsyncExitStack() as stack:
        for number in range(SLOW_CLIENTS):
            websocket = await stack.enter_async_context(connected(server.url))
            # The transport reads no more than this client takes: nothing.
            websocket.transport.pause_reading()
            slow_clients.append(websocket)
            await websocket.send(_request(" ".join(one_minute_text(number) for _ in range(5))))
        for _ in range(2):
            await asyncio.sleep(SLOW_S)
            sizes.append((process.memory_info().rss, worker.memory_info().rss))
        beside = [await _first_audio_beside(server) for _ in range(BESIDE)]
        for each in slow_clients:
            # A closing handshake would wait for each of them.
            each.transport.abort()
    grown = (sizes[2][0] - sizes[0][0]) / SLOW_CLIENTS / 1024
    return [
        *(f"{mib(front)}, {mib(back)}" for front, back in sizes),
        f"{grown:.0f} KiB",
        f"{ms(median(beside))}, {ms(max(beside))}",
    ]


async def _first_audio_beside(server: Server) -> float:
    """Return the first audio of a client that comes while others fill their buffers."""
    async with connected(server.url) as websocket:
        return (await request_speech(websocket, "es", "Hola, ¿qué tal?")).first_audio_s


def _request(text: str) -> str:
    return '{"type":"tts_stream_request","data":{"text":"' + text + '","config":{"language":"spanish"}}}'


def slow() -> None:
    """Measure the memory that slow readers take."""
    with Server("--engine", "espeak", PROCESS, KANI_MAX_TEXT="100000") as server:
        row = asyncio.run(_slow(server))
    head = (
        *("before: server, worker", f"after {SLOW_S:g} s", f"after {2 * SLOW_S:g} s"),
        "server, each client",
        "first audio of another client: median, most",
    )
    print(f"{SLOW_CLIENTS} clients that ask for five minutes each and take nothing:\n")
    print(table(head, [row]) + "\n", flush=True)


async def _messages() -> list[str]:
    sent: list[int] = []
    received: list[int] = []
    accept, send = Channel._accept, Channel.send

    def counted_accept(channel: Channel, frame: bytes) -> None:
        received.append(len(frame) + 4)
        accept(channel, frame)

    def counted_send(channel: Channel, message: object) -> None:
        send(channel, message)  # type: ignore[arg-type]
        sent.append(len(encode(message)) + 4)  # type: ignore[arg-type]

    async with engine_in_process("espeak", CollectorRegistry()) as engine:
        Channel._accept, Channel.send = counted_accept, counted_send  # type: ignore[method-assign,assignment]
        try:
            seconds = 0.0
            for language, text in SENTENCES:
                seconds += (await single_engine.speak(engine, language, text)).duration_s
        finally:
            Channel._accept, Channel.send = accept, send  # type: ignore[method-assign]
    return [
        f"{len(sent) / seconds:.2f}",
        f"{sum(sent) / seconds / 1024:.1f} KiB",
        f"{len(received) / seconds:.2f}",
        f"{sum(received) / seconds / 1024:.1f} KiB",
    ]


def messages() -> None:
    """Count the messages of a stream-second."""
    print("A second of speech on the worker's socket, espeak-ng at 22,050 Hz:\n")
    head = ("messages to the worker", "bytes", "messages from the worker", "bytes")
    print(table(head, [asyncio.run(_messages())]) + "\n", flush=True)


PARTS = {"first_audio": first_audio, "cost": cost, "kills": kills, "slow": slow, "messages": messages}


if __name__ == "__main__":
    measure("server.engine_process", __doc__, "Engines in processes of their own", PARTS, "msgspec", "psutil")
