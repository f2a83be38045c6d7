"""Engines and recognisers that nobody uses are unloaded, and come back; one that finds too little memory."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from kani import AsyncRecognizer, AsyncSpeech
from kani.core.errors import EngineFailed, EngineUnavailable
from kani.engines.remote.address import Address
from kani.engines.remote.connection import Connection
from kani.engines.remote.connectors import RemoteWorker
from kani.engines.remote.engine import RemoteEngine
from kani.engines.remote.link import Link
from kani.engines.remote.unloading import UnloadingLink
from kani.engines.worker.service import Worker
from tests.conftest import StartServer
from tests.engines.packages.life import started
from tests.engines.remote.test_remote import KEY, segment, whole, working
from tests.support.event_loop import settle, virtual_time
from tests.support.patience import WITHIN_S, happens, until
from tests.support.tone import ToneEngine

IDLE_S = 300.0


class Gated(RemoteWorker):
    """A connector that counts its connections, and waits for ``may_begin`` and ``may_end``."""

    def __init__(self, address: Address, engine: RemoteEngine) -> None:
        super().__init__(address, KEY, engine.changed)
        self.begun, self.ended, self.broken = 0, 0, False
        self.may_begin, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_begin.set()
        self.may_end.set()

    async def connect(self) -> Connection:
        self.begun += 1
        await self.may_begin.wait()
        if self.broken:
            raise EngineUnavailable("its file is gone")
        return await super().connect()

    async def disconnect(self, connection: Connection) -> None:
        await self.may_end.wait()
        await super().disconnect(connection)
        self.ended += 1


@asynccontextmanager
async def unloading(folder: Path) -> AsyncIterator[tuple[RemoteEngine, Gated, UnloadingLink]]:
    """A tone engine, loaded, that is unloaded after ``IDLE_S`` of a clock that jumps."""
    async with working(Worker(ToneEngine()), folder) as address:
        engine = RemoteEngine("tone")
        door = Gated(address, engine)
        link = UnloadingLink("tone", Link(door))
        engine.use(link)
        async with started(engine):
            engine.unload_after(IDLE_S)
            try:
                yield engine, door, link
            finally:
                door.may_begin.set()
                door.may_end.set()
        await settle()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "tone"]
        assert door.begun - door.ended == door.broken


async def unloaded(link: UnloadingLink) -> None:
    """Let ``IDLE_S`` pass, of a clock that jumps, and what follows."""
    await asyncio.sleep(2 * IDLE_S)
    assert link.state == "unloaded"


async def test_idle_engine_is_unloaded_and_comes_back_with_the_next_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If it cannot, the request fails, and the next one tries again."""
    async with unloading(tmp_path) as (engine, door, link):
        expected = len(await whole(engine))
        with virtual_time():
            await asyncio.sleep(IDLE_S / 2)
            assert link.state == "loaded"
            await unloaded(link)
        assert (door.begun, door.ended, engine.loaded) == (1, 1, False)
        assert engine.info.name == "tone"
        door.broken = True
        with pytest.raises(EngineFailed, match="started again"):
            await whole(engine)
        door.broken = False
        assert len(await whole(engine)) == expected > 0
        door.begun -= 1
        assert door.begun == 2 and engine.loaded
    *failed, loaded = [line for line in caplog.messages if line.startswith("tone ")]
    assert failed == [
        "tone is unloaded, after 300 s without a request",
        "tone cannot be loaded again: its file is gone",
    ]
    assert re.fullmatch(r"tone is loaded again, after \d+\.\d s", loaded)


async def test_engine_in_use_is_not_unloaded(tmp_path: Path) -> None:
    async with unloading(tmp_path) as (engine, door, link):
        async with aclosing(engine.synthesize(segment("uno dos tres"))) as chunks:
            await anext(chunks)
            with virtual_time():
                await asyncio.sleep(3 * IDLE_S)
            assert link.state == "loaded" and door.begun == 1
        with virtual_time():
            # Half the time, a request, half the time: never idle for the whole of it.
            await asyncio.sleep(IDLE_S / 2)
            await whole(engine)
            await asyncio.sleep(0.6 * IDLE_S)
            assert link.state == "loaded"
            await unloaded(link)


async def test_requests_that_come_together_load_it_once(tmp_path: Path) -> None:
    """Also those that come while it is unloaded."""
    async with unloading(tmp_path) as (engine, door, link):
        door.may_end.clear()
        with virtual_time():
            await asyncio.sleep(2 * IDLE_S)
        assert link.state == "unloading"
        first, *others = [asyncio.create_task(whole(engine)) for _ in range(5)]
        await settle()
        assert not first.done() and door.begun == 1
        door.may_begin.clear()
        door.may_end.set()
        await happens(lambda: link.state == "loading")
        first.cancel()  # the others wait on
        await asyncio.wait([first])
        door.may_begin.set()
        assert {len(chunks) for chunks in await asyncio.gather(*others)} == {2}
        assert (door.begun, door.ended) == (2, 1)


MOST_KEPT_MIB = 40.0
LEAST_OF_THE_MODEL_MIB = 100.0
MORE_BYTES = 100 << 20
SPEECH = {"model": "tts-1", "input": "The train leaves at nine.", "voice": "alloy", "response_format": "wav"}


def test_idle_recogniser_gives_its_memory_back_and_hears_again(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", KANI_IDLE_UNLOAD_SECONDS="1")
    front = psutil.Process(server.process.pid)

    def memory_mib() -> float:
        processes = (front, *front.children(recursive=True))
        return float(sum(each.memory_info().rss for each in processes)) / 2**20

    with httpx2.Client(base_url=server.http_url, timeout=WITHIN_S) as client:

        def loaded() -> bool:
            return client.get("/health").json()["recognizer"]["loaded"]

        spoken = client.post("/v1/audio/speech", json=SPEECH).content

        def transcribe() -> None:
            form = {"model": "whisper-1", "language": "en"}
            answer = client.post("/v1/audio/transcriptions", files={"file": ("a.wav", spoken)}, data=form)
            assert answer.status_code == 200 and answer.json()["text"]

        never_loaded_mib = memory_mib()
        assert loaded() is False
        transcribe()
        with_model_mib = memory_mib()
        until(lambda: not loaded() and memory_mib() <= never_loaded_mib + MOST_KEPT_MIB)
        assert 'kani_engine_loaded{engine="whisper"} 0.0' in client.get("/metrics").text
        transcribe()
        assert with_model_mib - never_loaded_mib > LEAST_OF_THE_MODEL_MIB
        # The preferred engine stays.
        (engine,) = client.get("/health").json()["engines"]
        assert engine["loaded"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process' memory")
def test_recording_is_refused_in_words_until_there_is_memory(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak")
    process = psutil.Process(server.process.pid)
    with httpx2.Client(base_url=server.http_url, timeout=WITHIN_S) as client:
        spoken = client.post("/v1/audio/speech", json=SPEECH).content

        def transcribed() -> httpx2.Response:
            files = {"file": ("a.wav", spoken)}
            return client.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-1"})

        unlimited = process.rlimit(psutil.RLIMIT_AS)
        process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms + MORE_BYTES, unlimited[1]))
        refused = transcribed()
        assert refused.status_code == 503
        assert "too little memory" in refused.json()["error"]["message"]
        assert client.post("/v1/audio/speech", json=SPEECH).content == spoken
        process.rlimit(psutil.RLIMIT_AS, unlimited)
        assert "train" in transcribed().json()["text"]
    assert "Traceback" not in server.terminal


@pytest.mark.heard
async def test_librarys_idle_recogniser_ends_its_process_and_hears_again() -> None:
    async with AsyncSpeech("espeak") as speech:
        said = await speech.say("The train leaves at nine.")
    here = psutil.Process()
    before = len(here.children())
    async with AsyncRecognizer(idle_unload_seconds=1) as recognizer:
        for _ in range(2):
            assert (await recognizer.transcribe((said.samples, said.sample_rate), language="en")).text
            assert len(here.children()) > before
            await happens(lambda: len(here.children()) <= before)
