"""A front and two engine replicas on Ray Serve, beside a server that has the engine in its own process.

first_audio: through the socket of both, in turn. cost: processor time of a second of speech, likewise.
cancel: time from a cancellation to a free slot of a replica. kills: kill -9 of a replica under 100 espeak-ng
streams. update: a rolling update under 50 streams. scaling: one replica, two and one again, by the load.

Ray has to be installed (deploy/requirements-ray.txt). Each part starts a cluster on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Iterator
from contextlib import aclosing, contextmanager, suppress
from tempfile import TemporaryDirectory

import psutil
from prometheus_client import CollectorRegistry

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # it keeps to the loopback address
os.environ.setdefault("RAY_agent_register_timeout_ms", "240000")
os.environ.setdefault("KANI_ENGINE_KEY", "the-key-of-this-benchmark")

import ray
from ray import serve

from benchmarks.playback_client import connected, request_speech
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.sentences import WITHOUT_EARLY_PHRASE, mixed, one_minute_text
from benchmarks.server_process import Server
from kani.core.engine import Engine
from kani.core.errors import EngineFailed
from kani.core.types import Segment
from kani.engines.pool_metrics import WorkerMetrics
from kani.engines.remote.processes import RemoteWorkers, engine_at
from kani.ray import application
from kani.ray.application import Plan

FIRST_AUDIO = (("espeak", 8, 20), ("kokoro", 2, 4))
"""Engines, rounds, and sentences of each round."""
COST_ROUNDS, COST_STREAMS = 4, 6
CANCELS = 40
KILLS, STREAMS = 20, 100
HEARD_BETWEEN = 20
"""Segments that are spoken to their end between two kills."""
UPDATE_STREAMS = 50
SENTENCES = mixed(WITHOUT_EARLY_PHRASE)
REPLICA = "ray::ServeReplica:kani-tts:engines"


@contextmanager
def cluster(plan: Plan) -> Iterator[str]:
    """Deploy a plan on a cluster of this process; yield the address of its front."""
    # A short path: it is that of Ray's Unix sockets. Ray's processes may still write there as they end.
    with TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as sessions:
        os.environ["RAY_TMPDIR"] = sessions
        application.connect(local=True)
        try:
            application.deploy(plan)
            yield application.addresses()[0].replace("localhost", "127.0.0.1") + "/"
            serve.delete(application.NAME)
        finally:
            ray.shutdown()


def _plan(engine: str, replicas: int = 2) -> Plan:
    own = {"KANI_PORT": "0", "KANI_RECOGNIZER": "none", "KANI_RATE_LIMIT_ENABLED": "false"}
    return Plan(engine, replicas=replicas, environment=own)


def _actors(title: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.cmdline() and process.cmdline()[0].startswith(title):
                found.append(process)
    return found


async def _first_audio(url: str, language: str, text: str) -> float:
    async with connected(url) as websocket:
        return (await request_speech(websocket, language, text)).first_audio_s


def first_audio() -> None:
    """Measure the first audio of a client."""
    head = ("engine", "sentences", "in the server", "by a Ray replica", "added, median", "added, 90 %")
    for engine, rounds, count in FIRST_AUDIO:
        own, remote = [], []
        with Server("--engine", engine) as inside, cluster(_plan(engine, 1)) as front:
            spoken = [each for each in SENTENCES if engine == "espeak" or each[0] in ("en", "es", "fr")]
            for number in range(rounds + 1):
                for language, text in spoken[:count]:
                    one = asyncio.run(_first_audio(inside.url, language, text))
                    other = asyncio.run(_first_audio(front, language, text))
                    if number:
                        own.append(one)
                        remote.append(other)
        added = [other - one for one, other in zip(own, remote, strict=True)]
        row = [engine, str(len(own)), ms(median(own)), ms(median(remote))]
        print(table(head, [[*row, ms(median(added)), ms(percentile(added, 90))]]) + "\n", flush=True)


def _used_s(processes: list[psutil.Process]) -> float:
    # Each text of espeak-ng is spoken by a fork that its process has reaped.
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system + one.children_user + one.children_system for one in times)


async def _speak_streams(url: str, number: int) -> float:
    async def stream(each: int) -> float:
        async with connected(url) as websocket:
            return (await request_speech(websocket, "es", one_minute_text(each))).duration_s

    return sum(await asyncio.gather(*(stream(COST_STREAMS * number + each) for each in range(COST_STREAMS))))


def cost() -> None:
    """Measure the processor time of a second of speech."""
    inside_s, actors_s, ray_s = [], [], []
    with Server("--engine", "espeak") as inside, cluster(_plan("espeak", 1)) as front:
        server = psutil.Process(inside.process_id)
        actors = _actors("ray::ServeReplica")
        # espeak-ng is a child of its replica.
        actors += [child for actor in actors for child in actor.children(recursive=True)]
        own = {server.pid, *(process.pid for process in actors)}
        for number in range(COST_ROUNDS + 1):
            tree = [server, *server.children(recursive=True)]
            before = _used_s(tree)
            seconds = asyncio.run(_speak_streams(inside.url, number))
            spent = (_used_s(tree) - before) / seconds
            others = [one for one in psutil.Process().children(recursive=True) if one.pid not in own]
            before, before_ray = _used_s(actors), _used_s(others)
            seconds = asyncio.run(_speak_streams(front, number))
            if number:
                inside_s.append(spent)
                actors_s.append((_used_s(actors) - before) / seconds)
                ray_s.append((_used_s(others) - before_ray) / seconds)
    row = [ms(median(inside_s)), ms(median(actors_s)), f"{median(actors_s) / median(inside_s) - 1:+.1%}"]
    print(f"{COST_ROUNDS} rounds of {COST_STREAMS} streams of a minute, espeak-ng, read at once:\n")
    head = ("in the server, a stream-second", "front and replica", "added", "Ray's other processes meanwhile")
    print(table(head, [[*row, ms(median(ray_s))]]) + "\n", flush=True)


async def _discover(_: bool) -> Collection[str]:
    handle = serve.get_deployment_handle(application.ENGINES, application.NAME)
    found = await handle.broadcast("address").results_async(timeout_s=5.0, return_exceptions=True)
    return [address for address in found if isinstance(address, str) and address]


async def _started() -> Engine:
    """Return the engine of the replicas, as a front has it."""
    workers = RemoteWorkers((), os.environ["KANI_ENGINE_KEY"], _discover)
    engine = engine_at(workers, WorkerMetrics(CollectorRegistry()))
    await engine.start()
    return engine


def _segment(number: int) -> Segment:
    return Segment(one_minute_text(number)[:300], "espeak:es", "es")


async def _slots(engine: Engine, count: int) -> float:
    """Return the seconds until the engine has ``count`` slots."""
    begun = time.perf_counter()
    while engine.info.max_concurrency != count:  # noqa: ASYNC110 - no event tells a benchmark of it
        await asyncio.sleep(0.01)
    return time.perf_counter() - begun


async def _cancel() -> list[float]:
    engine = await _started()
    taken = []
    for number in range(CANCELS):
        chunks = engine.synthesize(_segment(number))
        await anext(chunks)
        begun = time.perf_counter()
        # Returns with the replica's word that the slot is free.
        await chunks.aclose()
        taken.append(time.perf_counter() - begun)
    await engine.stop()
    return taken


def cancel() -> None:
    """Measure the cancellation of a segment."""
    with cluster(_plan("espeak", 1)):
        taken = asyncio.run(_cancel())
    print(table(("cancellations", "median", "longest"), [[str(CANCELS), ms(median(taken)), ms(max(taken))]]))


class _Crowd:
    """Streams that speak one segment after another, until they are stopped."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.finished = self.failed = self.unheard_lost = 0
        self.killed_at = self.latest_s = 0.0
        self._moved = asyncio.Event()

    async def until_finished(self, count: int) -> None:
        """Return once ``count`` segments were spoken to their end."""
        while self.finished < count:
            self._moved.clear()
            await self._moved.wait()

    async def stream(self, number: int) -> None:
        """Speak until the task is cancelled."""
        while True:
            heard = False
            try:
                async with aclosing(self.engine.synthesize(_segment(number))) as chunks:
                    async for _ in chunks:
                        heard = True
                        await asyncio.sleep(0)
                self.finished += 1
                self._moved.set()
            except EngineFailed:
                self.failed += 1
                self.unheard_lost += not heard
                self.latest_s = max(self.latest_s, time.perf_counter() - self.killed_at)


async def _kills() -> list[str]:
    engine = await _started()
    await _slots(engine, 2)
    crowd, back = _Crowd(engine), []
    streams = [asyncio.create_task(crowd.stream(number)) for number in range(STREAMS)]
    for _ in range(KILLS):
        await crowd.until_finished(crowd.finished + HEARD_BETWEEN)
        crowd.killed_at = time.perf_counter()
        _actors(REPLICA)[0].kill()
        await _slots(engine, 1)
        back.append(await _slots(engine, 2))
    for task in streams:
        task.cancel()
    await asyncio.wait(streams)
    await engine.stop()
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    counts = [crowd.finished, crowd.failed, crowd.unheard_lost]
    return [
        *map(str, counts),
        ms(crowd.latest_s),
        f"{median(back):.1f} s, {max(back):.1f} s",
        " ".join(left) or "none",
    ]


def kills() -> None:
    """Kill a replica under load."""
    with cluster(_plan("espeak")):
        row = asyncio.run(_kills())
    print(f"kill -9 of one of two replicas, {KILLS} times under {STREAMS} streams:\n")
    head = (
        *("segments finished", "failed", "failed unheard", "latest failure after the kill"),
        *("replica back: median, most", "tasks left"),
    )
    print(table(head, [row]) + "\n", flush=True)


async def _update() -> list[str]:
    engine = await _started()
    await _slots(engine, 2)
    crowd = _Crowd(engine)
    streams = [asyncio.create_task(crowd.stream(number)) for number in range(UPDATE_STREAMS)]
    await crowd.until_finished(HEARD_BETWEEN)
    begun = time.perf_counter()
    plan = _plan("espeak")
    plan.environment["KANI_LOG_LEVEL"] = "WARNING"
    await asyncio.to_thread(application.deploy, plan)
    took_s = time.perf_counter() - begun
    await crowd.until_finished(crowd.finished + HEARD_BETWEEN)
    for task in streams:
        task.cancel()
    await asyncio.wait(streams)
    await engine.stop()
    return [str(crowd.finished), str(crowd.failed), f"{took_s:.1f} s"]


def update() -> None:
    """Update the replicas under load."""
    with cluster(_plan("espeak")):
        row = asyncio.run(_update())
    print(f"A rolling update of two replicas under {UPDATE_STREAMS} streams:\n")
    print(table(("segments finished", "broken", "update"), [row]) + "\n", flush=True)


async def _scaling() -> list[str]:
    engine = await _started()
    crowd = _Crowd(engine)
    streams = [asyncio.create_task(crowd.stream(number)) for number in range(STREAMS)]
    up_s = await _slots(engine, 2)
    for task in streams:
        task.cancel()
    await asyncio.wait(streams)
    down_s = await _slots(engine, 1)
    await engine.stop()
    return [f"{up_s:.1f} s", f"{down_s:.1f} s", str(crowd.finished), str(crowd.failed)]


def scaling() -> None:
    """Scale by the load."""
    own = _plan("espeak").environment
    with cluster(Plan("espeak", max_replicas=2, upscale_s=2.0, downscale_s=2.0, environment=own)):
        row = asyncio.run(_scaling())
    head = ("two replicas after", "one again after", "segments finished", "broken")
    print(f"{STREAMS} streams begin, and end once there are two replicas (delays set to 2 s):\n")
    print(table(head, [row]) + "\n", flush=True)


PARTS = {
    "first_audio": first_audio,
    "cost": cost,
    "cancel": cancel,
    "kills": kills,
    "update": update,
    "scaling": scaling,
}


if __name__ == "__main__":
    measure("server.ray_serve", __doc__, "Engine replicas on Ray Serve", PARTS, "ray", "msgspec", "psutil")
