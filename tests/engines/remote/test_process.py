"""Engines in processes of their own, by a server's workers, which are killed, stall or load for long."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import psutil
import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect

from kani.core.errors import EngineFailed
from kani.core.types import Segment
from kani.engines.plugin import Resources
from kani.engines.pool_metrics import Restarts
from kani.engines.registry import Registry
from kani.engines.remote.connection import Connection, WorkerLost
from kani.engines.remote.connectors import ChildWorker
from kani.engines.remote.messages import Launch
from tests.clients.kani.wire import receive, request, stream
from tests.conftest import StartServer
from tests.engines.packages.life import chunks_of, started, workers
from tests.running.sources import ROOT
from tests.support.patience import WITHIN_S, happens

pytestmark = pytest.mark.server
KILLS = 5
"""Tries to kill a worker inside a segment: between two nothing is lost, and a new worker speaks the rest."""

SENTENCE = "Esta es la frase número {}, y es bastante larga, para que quede algo por decir cuando se corte."


async def test_hung_worker_is_replaced_after_a_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.engines.remote.channel.LEASE_S", 2)
    before, registry = {*workers()}, CollectorRegistry()
    host = Registry(lambda model: model(), Resources(tmp_path), registry, Restarts(registry))
    async with started(host.engine("espeak")) as engine, asyncio.timeout(WITHIN_S):
        (worker,) = {*workers()} - before
        begun = engine.synthesize(Segment(" ".join(SENTENCE.format(n) for n in range(9)), "espeak:es", "es"))
        await anext(begun)
        worker.send_signal(signal.SIGSTOP)
        text = Segment(SENTENCE.format(1), "espeak:es", "es")
        waiting = asyncio.create_task(chunks_of(engine, text))
        with pytest.raises(EngineFailed, match="the espeak engine was lost"):
            async for _ in begun:
                pass
        # Nothing had come of this one.
        assert await waiting and not worker.is_running()
        assert registry.get_sample_value("kani_engine_restarts_total", {"engine": "espeak"}) == 1
    assert {*workers()} <= before


async def test_session_fails_in_its_protocols_words_and_the_server_goes_on(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", "--engine-process", KANI_RECOGNIZER="none")
    front = psutil.Process(server.process.pid)
    config, kind = {"language": "spanish", "chunk_size": 5}, "tts_stream_request"
    text = " ".join(SENTENCE.format(number) for number in range(100))
    # The worker sees no Ctrl+C: the server ends it.
    (worker,) = workers(front)
    worker.send_signal(signal.SIGINT)
    worker.send_signal(signal.SIGTERM)
    async with connect(server.url, max_size=None, max_queue=1) as client:
        for _ in range(KILLS):
            (worker,) = workers(front)
            await client.send(request(text, kind, config=config))
            assert (await receive(client))[0] == "tts_stream_chunk"
            worker.send_signal(signal.SIGKILL)
            while (last := await receive(client))[0] == "tts_stream_chunk":
                pass
            if last[0] != "tts_stream_complete":
                break
        assert (last[0], last[1]["status"]) == ("tts_response", "error")
        assert last[1]["message"] == "the espeak engine was lost"
        chunks, ended, _ = await stream(client, request("Hola de nuevo.", kind, config=config))
        assert chunks and ended == "tts_stream_complete"
    # A server that is killed takes its worker along.
    (worker,) = workers(front)
    server.kill()
    worker.wait(WITHIN_S)


@pytest.mark.smoke
def test_server_speaks_and_recognises_by_workers(tmp_path: Path, start_server: StartServer) -> None:
    speaks, hears = (f"unix:{tmp_path}/private/{name}.sock" for name in ("speaks", "hears"))
    for arguments in (
        ("--engine", "espeak", "--worker", speaks),
        ("--recognizer", "whisper", "--recognizer-worker", hears),
    ):
        worker = start_server(*arguments, ready=False)
        assert b"Ctrl+C stops it" in worker.process.stdout.readline()
    server = start_server(
        *("--engine", "remote", "--recognizer", "remote"),
        KANI_ENGINE_ADDRESS=speaks,
        KANI_RECOGNIZER_ADDRESS=hears,
    )
    assert "(espeak " in server.banner and "(whisper " in server.banner
    said = {"model": "tts-1", "voice": "alloy", "input": "The train leaves at nine."}
    with httpx2.Client(base_url=f"{server.http_url}/v1/audio") as client:
        spoken = client.post("/speech", json=said).content
        form = {"model": "whisper-1", "language": "en"}
        heard = client.post("/transcriptions", files={"file": ("spoken.mp3", spoken)}, data=form)
    assert "train" in heard.json()["text"].lower(), heard.text
    # This process has no such library's files mapped.
    assert "ctranslate2" not in Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")


LEASE_S = 6


@asynccontextmanager
async def starting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[asyncio.Task[Connection], ChildWorker, psutil.Process]]:
    """A worker with an engine that has begun to start: the task that waits for it, and its process."""
    monkeypatch.setattr("kani.engines.remote.connection.START_LEASE_S", LEASE_S)
    before = set(psutil.Process().children())
    path = "tests.engines.packages.stand_in:Tone"
    launch = Launch("stand_in", 20, "engine", {"waits": True}, Resources(folder), path)
    connector = ChildWorker(launch, lambda ready: None)
    connecting = asyncio.create_task(connector.connect())
    try:
        await happens(lambda: (folder / "waits").exists())
        async with asyncio.timeout(WITHIN_S):
            (child,) = set(psutil.Process().children()) - before
            yield connecting, connector, child
    finally:
        connecting.cancel()
        await asyncio.wait([connecting])


async def test_worker_that_stalls_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with starting(tmp_path, monkeypatch) as (connecting, _, child):
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(WorkerLost, match=f"no sign of life for {LEASE_S} s"):
            await connecting
        assert not child.is_running()


async def test_worker_that_loads_for_long_is_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with starting(tmp_path, monkeypatch) as (connecting, connector, child):
        done, _ = await asyncio.wait([connecting], timeout=1.5 * LEASE_S)
        assert not done
        (tmp_path / "go").touch()
        connection = await connecting
        assert child.is_running()
        await connector.disconnect(connection)


SHAKING_HANDS = """#!{python}
# A child that goes away at one step of its handshake.
import os, signal, socket, sys
sys.path.insert(0, {root!r})
import msgspec
from kani.engines.remote.handshake import MAGIC, Challenge
from kani.engines.remote.messages import PROTOCOL_VERSION

connection = socket.socket(fileno=int(sys.argv[-1]))
step, end = {step!r}, {end!r}
if step != "greeting":
    connection.recv(1024)
if step == "proof":
    frame = msgspec.msgpack.encode(Challenge(MAGIC, PROTOCOL_VERSION, "", bytes(32)))
    connection.sendall(len(frame).to_bytes(4, "big") + frame)
    connection.recv(1024)
os.kill(os.getpid(), signal.SIGKILL) if end == "killed" else os._exit(7)
"""


@pytest.mark.parametrize("step", ["greeting", "challenge", "proof"])
@pytest.mark.parametrize(
    ("end", "reason"), [("killed", "it was ended by signal 9"), ("ended", "it ended with exit code 7")]
)
async def test_child_that_ends_in_its_handshake_is_said_to_have_ended(
    tmp_path: Path, step: str, end: str, reason: str
) -> None:
    python = tmp_path / "python"
    program = SHAKING_HANDS.format(python=sys.executable, root=str(ROOT), step=step, end=end)
    python.write_text(program, encoding="utf-8")
    python.chmod(0o700)
    launch = Launch("stand_in", 20, "engine", {}, Resources(tmp_path))
    connector = ChildWorker(launch, lambda ready: None, python=str(python))
    async with asyncio.timeout(WITHIN_S):
        with pytest.raises(WorkerLost) as lost:
            await connector.connect()
    assert str(lost.value) == reason
