"""One server of several processes (``--fronts``), as its clients and its operator see it."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kani.core import shared_numbers
from kani.core.session.admission import RateLimit
from kani.core.session.budget import Budget
from kani.core.session.slots import DeadlineQueue
from kani.protocols.books_api.calls import AUDIO_PATH
from kani.protocols.elevenlabs.single_use_tokens import SingleUseTokens
from tests.clients.kani.wire import ask, request
from tests.clients.openai_call import calling
from tests.conftest import ServerProcess, StartServer
from tests.support.chat.endpoint import chat_endpoint, say
from tests.support.patience import WITHIN_S, until
from tests.support.servers.address import figure

LONG = "Esta es una frase bastante larga que se repite muchas veces para que dure. " * 24
# A front leaves a connection to one with fewer for 0.1 s only: on a busy machine that may be too late.
pytestmark = [pytest.mark.alone, pytest.mark.skipif(sys.platform != "linux", reason="fronts need Linux")]

FRONTS = ("--engine", "espeak", "--fronts", "2")
KEY = {"KANI_ENGINE_KEY": "k" * 16}  # for workers elsewhere


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that these have, as far as they are not detached."""
    found = [
        int(task)
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for task in file.read_text().split()
    ]
    return [*found, *(each for child in found for each in descendants(child))]


def children(server: ServerProcess, kind: str) -> list[int]:
    """The fronts ("front") or the workers ("worker") that the parent has forked."""
    # Not those of an engine, which come and go.
    found = map(
        int, Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    )
    return [each for each in found if Path(f"/proc/{each}/comm").read_text().startswith(kind)]


def alive(pid: int) -> bool:
    """True for a process that is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sockets(pid: int) -> set[str]:
    return {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink()}


def files(pid: int) -> set[str]:
    """The files with a process' metrics."""
    return {each for each in sockets(pid) if each.endswith(".db")}


def memory_share(pid: int) -> float:
    """MiB of a process, what it shares divided by those that share it."""
    return int(Path(f"/proc/{pid}/smaps_rollup").read_text().split("\nPss:")[1].split()[0]) / 1024


def front_of(server: ServerProcess, client: asyncio.WriteTransport) -> int:
    """The process that serves a connection."""
    own, peer = (client.get_extra_info(name)[1] for name in ("sockname", "peername"))
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    rows += [row.split() for row in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    ends = f":{peer:04X}", f":{own:04X}"
    inode = next(row[9] for row in rows if row[1].endswith(ends[0]) and row[2].endswith(ends[1]))
    return next(pid for pid in children(server, "front") if f"socket:[{inode}]" in sockets(pid))


class Kept:
    """A connection for several requests."""

    def __init__(self, server: ServerProcess) -> None:
        self._port = server.port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("localhost", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    @property
    def transport(self) -> asyncio.WriteTransport:
        return self._writer.transport

    async def status(self, call: str) -> int:
        """Ask without a body; read the answer."""
        self._writer.write(f"{call} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        async with asyncio.timeout(WITHIN_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length: ")[2].split()[0]
            await self._reader.readexactly(int(length))
        return int(head.split()[1])


def begun(start_server: StartServer, **environment: str) -> ServerProcess:
    """A server with two fronts that serve."""
    server = start_server(*FRONTS, **environment)
    until(lambda: server.log.count("ready on ") == 2)
    return server


@asynccontextmanager
async def opened(
    *clients: AbstractAsyncContextManager[ClientConnection],
) -> AsyncIterator[list[ClientConnection]]:
    """Clients that connect one after another."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(client) for client in clients]


@asynccontextmanager
async def speaking(url: str) -> AsyncIterator[ClientConnection]:
    """A client of speech that goes on for minutes, once the first of it has come."""
    path = "/v1/text-to-speech/es/stream-input?output_format=pcm_16000"
    async with connect(f"{url}{path}", max_size=None) as client:
        for text in (" ", LONG, ""):
            await client.send(json.dumps({"text": text}))
        await client.recv()
        yield client


async def spoken(url: str, headers: dict[str, str]) -> str:
    """The last message of a short text's speech."""
    async with connect(url, additional_headers=headers) as client:
        for text in (" ", "Hola.", ""):
            await client.send(json.dumps({"text": text}))
        return await rest(client)


async def rest(client: ClientConnection) -> str:
    """The last message of a client's speech."""
    messages = [str(message) async for message in client]
    return messages[-1]


async def test_clients_see_one_server(start_server: StartServer) -> None:
    server = begun(start_server, KANI_MAX_CONNECTIONS="6", KANI_RATE_PER_MINUTE="4", **KEY)
    async with opened(*(connect(server.url) for _ in range(6))) as clients:
        served = Counter(front_of(server, client.transport) for client in clients)
        assert served.keys() == {*children(server, "front")}
        with pytest.raises(InvalidStatus, match="503"):
            await connect(server.url)
        for _ in range(3):
            assert await server.figure("kani_connections") == 6
        # A client's rate counts over all: on two connections as on one.
        answers = [await ask(client, request("Hola.")) for client in clients]
    assert [answer["status"] for answer in answers] == ["success"] * 4 + ["error"] * 2
    assert "too many requests" in answers[-1]["message"]
    for _ in range(3):
        scraped = (await server.get("/metrics")).text
        assert figure(scraped, "kani_requests_total") == 4 and figure(scraped, "kani_ready") == 1
        assert figure(scraped, "kani_refusals_total", reason="rate") == 2
        assert 'pid="' not in scraped
    counted: dict[str, int] = {}
    while (counted.get("requests"), counted.get("refusals")) != (4, 2):
        # Each front adds them up once a second.
        counted = (await server.get("/health")).json()["counters"]
    assert max(map(memory_share, served)) < 120


async def test_what_one_process_makes_is_known_to_all(start_server: StartServer) -> None:
    key = {"authorization": "Bearer " + "k" * 20}
    server = begun(start_server, KANI_API_KEYS="k" * 20, KANI_HOST="127.0.0.1")
    proxied = key | {"x-forwarded-for": "10.0.0.1"}
    async with httpx2.AsyncClient(base_url=server.http_url, headers=proxied) as one:
        made = await one.post("/v1/single-use-token/tts_websocket")
        secret = (await one.post("/v1/realtime/client_secrets", json={})).json()["value"]
        path = f"{server.url}/v1/text-to-speech/es/stream-input?single_use_token={made.json()['token']}"
        via = {"x-forwarded-for": "10.0.0.1"}
        # Only one of all that try has it: the others are refused, or were admitted to send a key.
        ends = await asyncio.gather(*(spoken(path, via) for _ in range(4)), return_exceptions=True)
        assert sum("isFinal" in str(end) for end in ends) == 1, ends
        for _ in range(4):
            opens = {"authorization": f"Bearer {secret}"} | via
            async with connect(f"{server.url}/v1/realtime?model=x", additional_headers=opens) as session:
                assert "session.created" in str(await session.recv())
        async with connect(f"{server.url}/v1/live/sessions", additional_headers=key | via) as session:
            await session.send('{"type": "session.start"}')
            assert "forbidden" in str(await session.recv())


async def test_what_one_front_keeps_is_reached_through_all(start_server: StartServer) -> None:
    async with chat_endpoint(lambda _: say("uno dos tres.")) as endpoint:
        server = begun(start_server, KANI_LLM_URL=endpoint.url)
        (owner,) = children(server, "front 0")
        async with opened(*(connect(server.url) for _ in range(2))), AsyncExitStack() as stack:
            # The owner keeps what it gets: from the second one on the other front accepts them.
            for _ in range(3):
                caller = await stack.enter_async_context(calling(server))
                call_id = caller.location.rpartition("/")[2]
                joined = await stack.enter_async_context(
                    connect(f"{server.url}/v1/realtime?call_id={call_id}")
                )
                assert "session.created" in str(await joined.recv())
                assert front_of(server, joined.transport) == owner
            # A connection that another front has served before.
            front = owner
            while front == owner:
                kept = await stack.enter_async_context(Kept(server))
                assert await kept.status("GET /livez") == 200
                front = front_of(server, kept.transport)
            assert await kept.status(f"POST /v1/realtime/calls/{call_id}/hangup") == 200
            assert front_of(server, kept.transport) == owner
            assert await kept.status("GET /livez") == 200
            await joined.wait_closed()
            listener = await stack.enter_async_context(connect(f"{server.url}/client"))
            speaker = await stack.enter_async_context(connect(f"{server.url}/stream_tts"))
            assert front_of(server, listener.transport) == front_of(server, speaker.transport) == owner
            os.kill(owner, signal.SIGKILL)
            # What comes meanwhile waits for the owner that is started again.
            await stack.enter_async_context(calling(server))
            assert owner not in children(server, "front")


async def test_audiobook_is_made_and_fetched_through_all(start_server: StartServer) -> None:
    server = begun(start_server)
    async with opened(*(connect(server.url) for _ in range(2))), AsyncExitStack() as stack:
        # The connections of several clients: the fronts take turns.
        clients = [
            await stack.enter_async_context(httpx2.AsyncClient(base_url=server.http_url)) for _ in range(3)
        ]
        told = [await audiobook(client, "# Uno\n\nHola.\n\n# Dos\n\nAdiós.") for client in clients]
        assert [event["stage"] for event in told] == ["done"] * 3
        assert len({event["id"] for event in told}) == 1
        files = [(await client.get(f"{AUDIO_PATH}/{told[0]['id']}")).content for client in reversed(clients)]
        assert {len(file) for file in files} == {told[0]["bytes"]} and len({*files}) == 1


async def audiobook(
    client: httpx2.AsyncClient, text: str, begun: asyncio.Event | None = None
) -> dict[str, Any]:
    """Have an audiobook made; returns the last that is told of it. begun: set once anything is told."""
    last: dict[str, Any] = {}
    query = {"name": "Mi diario.md"}
    async with client.stream("POST", AUDIO_PATH, params=query, content=text, timeout=WITHIN_S) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                last = json.loads(line[6:])
                if begun is not None:
                    begun.set()
    return last


async def test_stop_ends_calls_and_audiobooks(start_server: StartServer) -> None:
    async with chat_endpoint(lambda _: say("uno dos tres.")) as endpoint:
        server = begun(start_server, KANI_LLM_URL=endpoint.url, KANI_SHUTDOWN_SECONDS="2")
        processes = descendants(server.process.pid)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(opened(*(connect(server.url) for _ in range(2))))
            callers = [await stack.enter_async_context(calling(server)) for _ in range(2)]
            client = await stack.enter_async_context(httpx2.AsyncClient(base_url=server.http_url))
            speaking_book = asyncio.Event()
            book = asyncio.create_task(audiobook(client, LONG * 40, speaking_book))
            await asyncio.wait_for(speaking_book.wait(), WITHIN_S)
            server.send_signal(signal.SIGTERM)
            for caller in callers:
                await caller.ended()
            assert "shutting down" in (await book)["error"]["message"]
        assert server.wait() == 0
        assert not any(map(alive, processes))


async def test_front_that_is_killed_takes_no_other_with_it(start_server: StartServer) -> None:
    server = begun(start_server)
    async with AsyncExitStack() as stack:
        clients, fronts = list[ClientConnection](), list[int]()
        while len({*fronts}) < 2 or len(clients) < 4:
            clients.append(await stack.enter_async_context(speaking(server.url)))
            fronts.append(front_of(server, clients[-1].transport))
        lost = fronts[0]
        metrics = files(lost)
        theirs = [front == lost for front in fronts]
        os.kill(lost, signal.SIGKILL)
        for client, ends in zip(clients, theirs, strict=True):
            if ends:
                with pytest.raises(ConnectionClosed):
                    await rest(client)
            else:
                assert "isFinal" in await rest(client)
    while server.log.count("ready on ") < 3:
        # Nobody meets the new front before it serves.
        async with connect(server.url):
            pass
    assert len(children(server, "front")) == 2 and lost not in children(server, "front")
    # It goes on with its files: they do not get more with each crash.
    assert metrics and metrics in map(files, children(server, "front"))
    assert await server.figure("kani_requests_total") == len(clients)
    assert await server.figure("kani_front_restarts_total") == 1
    # What was open there is not counted any more.
    assert await server.figure("kani_sessions") == 0
    async with AsyncExitStack() as stack:
        served = set[int]()
        while served != {*children(server, "front")}:
            served.add(front_of(server, (await stack.enter_async_context(connect(server.url))).transport))
    assert "was ended (Killed)" in server.log


async def test_engine_that_is_killed_comes_again(start_server: StartServer) -> None:
    server = begun(start_server)
    async with opened(*(speaking(server.url) for _ in range(4))) as clients:
        (worker,) = children(server, "worker e")
        os.kill(worker, signal.SIGKILL)
        ends = await asyncio.gather(*map(rest, clients), return_exceptions=True)
    # A segment that has been heard in part ends with an error; one without audio so far is begun again.
    assert all("isFinal" in str(end) or "engine" in str(end) for end in ends), ends
    async with connect(server.url) as again:
        assert (await ask(again, request("Hola.")))["status"] == "success"
    assert await server.figure("kani_engine_restarts_total", engine="espeak") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop_lets_speech_end_and_leaves_no_process(start_server: StartServer, number: int) -> None:
    server = begun(start_server, KANI_SHUTDOWN_SECONDS="60")
    processes = descendants(server.process.pid)
    assert len(processes) > 3
    async with opened(speaking(server.url), speaking(server.url)) as clients:
        server.send_signal(number)
        if number == signal.SIGTERM:
            # A supervisor sends it to every process.
            for process in processes:
                os.kill(process, number)
        for client in clients:
            assert "isFinal" in await rest(client)
    assert server.wait() == 0
    assert not any(map(alive, processes))
    assert "killed" not in server.log


def test_none_outlives_the_parent(start_server: StartServer) -> None:
    server = begun(start_server)
    processes = descendants(server.process.pid)
    server.kill()
    until(lambda: not any(map(alive, processes)))


def test_start_that_cannot_succeed_ends_once(start_server: StartServer) -> None:
    server = start_server(*FRONTS, "--voice", "kept-nowhere", ready=False)
    assert server.wait() == 2
    assert server.terminal.count("kept-nowhere") == 1


async def test_places_budgets_rates_and_tokens_are_those_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_numbers, "shared", None)
    shared_numbers.share(2, 0, tmp_path)
    made = []
    for row in (0, 1):
        shared_numbers.take(row)
        queue = DeadlineQueue(lambda: 1, name="engine")
        made.append((queue, Budget(100, "full", small=0).open(), RateLimit(1), SingleUseTokens()))
    (one, share, rate, tokens), (other, further, slow, known) = made
    order = []

    async def speak(queue: DeadlineQueue, due: float) -> None:
        await queue.acquire(due)
        order.append(due)
        queue.release()

    await one.acquire(0.0)
    async with asyncio.TaskGroup() as group:
        for queue, due in ((other, 4.0), (one, 3.0), (other, 2.0), (one, 1.0)):
            group.create_task(speak(queue, due))
        await asyncio.sleep(0)
        assert (one.waits_elsewhere, other.waits_elsewhere, other.taken_elsewhere) == (2, 2, 1)
        one.release()
    assert order == [1.0, 2.0, 3.0, 4.0]
    share.hold(80)
    assert further.fits(20) and not further.fits(21)
    assert [rate.allow("a"), slow.allow("a"), slow.allow("b"), rate.allow("b")] == [True, False, True, False]
    token = tokens.issue("agent")
    assert [known.use("tts_websocket", token), known.use("agent", token)] == [False, True]
    assert not tokens.use("agent", token)
