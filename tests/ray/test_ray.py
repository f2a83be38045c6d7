"""A cluster as ``python -m kani.ray up`` starts it: two fronts, two engine replicas and a recogniser.

One cluster serves all tests, which run in their order and kill its parts. ``KANI_RAY_PYTHON``: a python that
has Ray, if this one has not.
"""

import asyncio
import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.conftest import ROOT, ServerProcess
from tests.server.network.test_ports import pair_of_ports
from tests.support.patience import WITHIN_S
from tests.support.programs import ran

pytestmark = pytest.mark.server

PYTHON = os.environ.get("KANI_RAY_PYTHON", sys.executable)
ENGINES, FRONTS = "ray::ServeReplica:kani-tts:engines", "ray::ServeReplica:kani-tts:fronts"
STREAMS = 20
SENTENCE = "Esta es la frase número {}, y es bastante larga, para que quede algo por decir cuando se corte. "
LOST = "the espeak engine was lost"


class Cluster:
    """The command in a process of its own, and further calls of it."""

    def __init__(self, folder: Path) -> None:
        self.port = pair_of_ports()
        own = {"KANI_DATA_DIR": str(folder / "data"), "KANI_HOST": "localhost"}
        # A token of its own: Ray would keep one in the home folder.
        outside = {
            name: value for name, value in os.environ.items() if not name.startswith(("KANI_", "RAY_"))
        }
        # Not in pytest's folder: the paths of Ray's Unix sockets would be too long.
        self._sessions = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        # Ray ends actors where the machine's memory runs short, whatever uses it.
        ray["RAY_memory_monitor_refresh_ms"] = "0"
        self._environment = outside | own | ray | {"RAY_TMPDIR": self._sessions}
        self._output = (folder / "output").open("w+", encoding="utf-8")
        self._folder = folder
        self.process = self._command(
            *("up", "--local", "--engine", "espeak", "--replicas", "2", "--recognizer-replicas", "1"),
            *("--fronts", "2", "--port", str(self.port)),
        )

    def _command(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [PYTHON, "-m", "kani.ray", *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def join(self) -> None:
        """Let further commands use this cluster, and no other one of this machine."""
        self._environment["RAY_ADDRESS"] = self.output.partition("RAY_ADDRESS=")[2].split()[0]

    def call(self, *arguments: str) -> None:
        process = self._command(*arguments)
        assert process.wait(WITHIN_S) == 0, self.output

    @property
    def output(self) -> str:
        return (self._folder / "output").read_text(encoding="utf-8")

    def told(self) -> str:
        """The command's output, and the last lines of what Ray's processes have logged."""
        logs = sorted(Path(self._sessions).glob("session_*/logs/serve/*.log"))
        ends = (f"{log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in logs)
        return "\n".join((self.output, *ends))

    def kill(self) -> None:
        """End what is left of a cluster after its test has failed, and remove what Ray has written."""
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.kill()
        self.process.wait()
        self._output.close()
        shutil.rmtree(self._sessions, ignore_errors=True)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < deadline and self.process.poll() is None, self.told()
            # Nothing tells another process when a replica is there.
            time.sleep(0.1)

    def url(self, front: int) -> str:
        return f"ws://localhost:{self.port + front}/"

    def replicas(self, front: int = 0) -> dict[str, float]:
        """Slots of each replica, as a front sees it; none of a front that cannot be reached."""
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://localhost:{self.port + front}/metrics") as found,
        ):
            lines = found.read().decode().splitlines()
            slots = [line.split() for line in lines if line.startswith("kani_worker_slots{")]
            return {name: float(value) for name, value in slots if float(value)}
        return {}

    def actors(self, title: str) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.cmdline() and process.cmdline()[0].startswith(title):
                    found.append(process)
        return found


def test_plan_without_recogniser_replicas_has_none() -> None:
    program = "from kani.ray.application import Plan, bind; print(bind(Plan('espeak'), 'key'))"
    ran(PYTHON, "-c", program)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("ray"))
    try:
        running.until(lambda: "Ctrl+C" in running.output)
        running.join()
        yield running
        left = psutil.Process(running.process.pid).children(recursive=True)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(WITHIN_S) == 0, running.output
        _, alive = psutil.wait_procs(left, WITHIN_S)
        assert not alive
    finally:
        running.kill()


def text(number: int) -> str:
    return "".join(SENTENCE.format(100 * number + each) for each in range(8))


class Stream:
    """One request: its audio so far, and the error at its end, if there was one."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.audio = b""
        self.error: str | None = None

    async def run(self, url: str, begun: asyncio.Semaphore | None = None) -> None:
        config = {"language": "spanish", "chunk_size": 5}
        request = {"type": "tts_stream_request", "data": {"text": text(self.number), "config": config}}
        try:
            async with connect(url, max_size=None) as client:
                await client.send(json.dumps(request))
                async for message in client:
                    answer = json.loads(message)
                    if answer["type"] == "tts_stream_complete":
                        return
                    if answer["type"] != "tts_stream_chunk":
                        self.error = answer["data"]["message"]
                        return
                    self.audio += base64.b64decode(answer["data"]["audio"])
                    if begun is not None:
                        begun.release()
        except (OSError, WebSocketException) as error:
            self.error = f"disconnected: {error}"
        self.error = self.error or "disconnected"


@pytest.fixture(scope="module")
def expected(espeak_server: ServerProcess) -> list[bytes]:
    """The audio of each stream from a server that has the engine in its own process."""

    async def speak() -> list[Stream]:
        streams = [Stream(number) for number in range(STREAMS)]
        await asyncio.gather(*(stream.run(espeak_server.url) for stream in streams))
        return streams

    streams = asyncio.run(speak())
    assert not [stream.error for stream in streams if stream.error]
    return [stream.audio for stream in streams]


def under(cluster: Cluster, disturb: Callable[[], None]) -> list[Stream]:
    """Speak by both fronts in turn, and call ``disturb`` once speech has begun."""

    async def speak() -> list[Stream]:
        begun = asyncio.Semaphore(0)
        streams = [Stream(number) for number in range(STREAMS)]
        tasks = [asyncio.create_task(each.run(cluster.url(each.number % 2), begun)) for each in streams]
        for _ in range(4):
            await begun.acquire()
        await asyncio.to_thread(disturb)
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*tasks)
        return streams

    return asyncio.run(speak())


def assert_whole(streams: list[Stream], expected: list[bytes]) -> None:
    assert {stream.number: stream.error for stream in streams if stream.error} == {}
    assert [stream.number for stream in streams if stream.audio != expected[stream.number]] == []


def both(cluster: Cluster) -> bool:
    return len(cluster.replicas(0)) == len(cluster.replicas(1)) == 2


def test_streams_equal_those_of_an_engine_in_the_server(cluster: Cluster, expected: list[bytes]) -> None:
    cluster.until(lambda: both(cluster))
    streams = under(cluster, lambda: None)
    assert_whole(streams, expected)
    cluster.call("status")
    assert f"front    ws://localhost:{cluster.port + 1}" in cluster.output


def test_recording_is_recognised_by_a_replica(cluster: Cluster) -> None:
    fronts = cluster.actors(FRONTS)
    address = f"http://localhost:{cluster.port}/v1/audio/"
    body = {"model": "tts-1", "voice": "alloy", "input": "The train leaves at nine."}
    spoken = httpx2.post(address + "speech", json=body | {"response_format": "wav"})
    file, data = ("spoken.wav", spoken.content), {"model": "whisper-1", "language": "en"}
    heard = httpx2.post(address + "transcriptions", files={"file": file}, data=data)
    assert "train" in heard.json()["text"].lower(), heard.text
    # The fronts have not loaded the model.
    assert not [one for front in fronts for one in front.memory_maps() if "ctranslate2" in one.path]


def test_killed_replica_loses_what_was_heard_and_is_back(cluster: Cluster, expected: list[bytes]) -> None:
    before = cluster.replicas()
    streams = under(cluster, cluster.actors(ENGINES)[0].kill)
    failed = {stream.number: stream.error for stream in streams if stream.error}
    # A replica has one slot, so that one segment at most was heard of it.
    assert list(failed.values()) in ([], [LOST]), (failed, cluster.told())
    assert all(streams[number].audio for number in failed)
    assert all(stream.audio == expected[stream.number] for stream in streams if not stream.error)
    cluster.until(lambda: both(cluster) and cluster.replicas() != before)


def test_rolling_update_breaks_no_stream(cluster: Cluster, expected: list[bytes]) -> None:
    before = cluster.replicas()
    update = ("up", "--engine", "espeak", "--replicas", "2", "--recognizer-replicas", "1")
    fronts = ("--fronts", "2", "--port", str(cluster.port))
    assert_whole(under(cluster, lambda: cluster.call(*update, *fronts, "--drain-seconds", "50")), expected)
    cluster.until(lambda: both(cluster) and not set(cluster.replicas()) & set(before))


def test_killed_front_disturbs_no_other_and_is_back(cluster: Cluster, expected: list[bytes]) -> None:
    victim, ports = cluster.actors(FRONTS)[0], {cluster.port: 0, cluster.port + 1: 1}
    listening = [each.laddr.port for each in victim.net_connections("tcp")]
    number = next(ports[port] for port in listening if port in ports)
    streams = under(cluster, victim.kill)
    other = [stream for stream in streams if stream.number % 2 != number]
    assert_whole(other, expected)
    cluster.until(lambda: both(cluster))


def test_replicas_come_and_go_with_the_utterances(cluster: Cluster, expected: list[bytes]) -> None:
    cluster.call(
        *("up", "--engine", "espeak", "--replicas", "1", "--max-replicas", "2"),
        *("--recognizer-replicas", "1", "--fronts", "2"),
        *("--port", str(cluster.port), "--upscale-seconds", "0", "--downscale-seconds", "1"),
        *("--drain-seconds", "50"),
    )
    cluster.until(lambda: len(cluster.replicas(0)) == len(cluster.replicas(1)) == 1)

    async def speak() -> list[Stream]:
        streams: list[Stream] = []
        while not both(cluster):
            more = [Stream(number) for number in range(STREAMS)]
            await asyncio.gather(*(each.run(cluster.url(each.number % 2)) for each in more))
            streams += more
        return streams

    assert_whole(asyncio.run(speak()), expected)
    cluster.until(lambda: len(cluster.replicas(0)) == len(cluster.replicas(1)) == 1)
