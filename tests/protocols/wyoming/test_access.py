"""Access to Wyoming's port: its networks and announcement, limits, idle clients, and the end."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from wyoming.event import Event
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from kani.composition.settings import SettingsError, load
from kani.protocols.wyoming import connection
from kani.protocols.wyoming.framing import Event as PackedEvent
from kani.protocols.wyoming.protocol import SERVICE, reachable_addresses
from kani.server.network import tcp_connections
from kani.server.network.tcp_connections import ReadTimeouts
from kani.server.network.upload_budget import KEYLESS_BYTES, upload_budget
from tests.composition.settings.test_settings import NO_FILE
from tests.protocols.conftest import Serve
from tests.protocols.wyoming.exchange import answer_to, ask, chunk, client, read_all, read_until, send, steps
from tests.protocols.wyoming.home_assistant import HOST, load_info
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.unread import small_socket

NETWORK = {"KANI_HOST": "0.0.0.0", "KANI_NO_AUTH": "true"}


@pytest.fixture(autouse=True)
def unannounced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the servers of these tests from being announced to the network, but for one."""
    if "server" not in request.keywords:
        monkeypatch.setattr("kani.protocols.wyoming.protocol._announce", lambda _: asyncio.sleep(0))


SAY = Event("synthesize", {"text": "uno"})


async def test_port_is_open_by_its_option(serve: Serve) -> None:
    off = {"KANI_WYOMING": "false"}
    compat = off | {"KANI_COMPAT": "true"}
    for environment, is_open in ((off, False), (compat, True), (compat | NETWORK, False), (NETWORK, True)):
        server = await serve(**environment)
        assert ("Wyoming" in server.streams) == ("wyoming  tcp://" in server.banner) == is_open, environment


async def test_networks_are_named_and_checked(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = await serve(KANI_WYOMING_ALLOW="192.168.1.0/24, 127.0.0.1", **NETWORK)
    assert "asks for no key; serves 192.168.1.0/24 127.0.0.1\n" in server.banner
    assert await load_info(server.streams["Wyoming"])
    server = await serve(KANI_WYOMING_ALLOW="192.168.1.0/24", **NETWORK)
    with suppress(ConnectionError):
        assert await answer_to(server.streams["Wyoming"], b'{"type": "describe"}\n') == b""
    assert "none of the allowed networks" in caplog.text
    assert "192.168.0.0/16" in load({}, {}, NO_FILE).value("wyoming_allow")
    with pytest.raises(SettingsError, match=r"'192.168.1.7/24' is no network"):
        load({}, {"KANI_WYOMING_ALLOW": "10.0.0.0/8, 192.168.1.7/24"}, NO_FILE)


async def test_descriptions_and_sessions_are_counted_apart(serve: Serve) -> None:
    server = await serve(KANI_MAX_CONNECTIONS="1", KANI_RATE_PER_MINUTE="1")
    port = server.streams["Wyoming"]
    server.engine.allow = 0
    async with client(port) as speaking:
        await speaking.write_event(SAY)
        await happens(lambda: server.engine.under_way)
        for _ in range(5):
            await load_info(port)
        # On the connection that is spoken to, as well.
        await speaking.write_event(Event("describe"))
        await read_until(speaking, "info")
        refused = await ask(port, SAY, last="error")
        assert refused[-1].data["code"] == "busy"
        await server.engine.permit(None)
        await read_until(speaking, "audio-stop")
    limited = await ask(port, SAY, last="error")
    assert "at most 1 a minute" in limited[-1].data["text"]
    server = await serve()
    await ask(server.streams["Wyoming"], SAY, last="audio-stop")
    metrics = (await server.get("/metrics")).text
    assert 'kani_requests_total{protocol="wyoming"} 1.0' in metrics
    assert 'kani_sessions{protocol="wyoming"} 0.0' in metrics


async def test_open_text_is_spoken_and_idle_connections_are_closed_at_shutdown(serve: Serve) -> None:
    server = await serve()
    port = server.streams["Wyoming"]
    async with client(port) as connected, client(port) as silent, client(port) as described:
        await described.write_event(Event("describe"))
        await read_until(described, "info")
        await send(connected, Event("synthesize-start"))
        await send(connected, Event("synthesize-chunk", {"text": "Uno dos. Tres "}))
        await read_until(connected, "audio-chunk")
        server.stop.set()
        assert await read_all(silent) == await read_all(described) == []
        events = await read_until(connected, "synthesize-stopped")
        events += await read_all(connected)
    assert [event.type for event in events[-2:]] == ["audio-stop", "synthesize-stopped"]
    assert server.engine.words == ["Uno", "dos", "Tres"]


async def test_only_addresses_that_others_reach_are_announced(serve: Serve) -> None:
    for listening, reachable in (
        (["127.0.0.1"], []),
        (["::1", "fe80::1%eth0"], []),
        (["192.168.1.7"], ["192.168.1.7"]),
        (["192.168.1.7", "192.168.1.7", "fd00::7"], ["192.168.1.7", "fd00::7"]),
    ):
        assert reachable_addresses([(address, 10300) for address in listening]) == reachable
    await serve()
    assert "zeroconf" not in {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.server
async def test_home_assistant_finds_the_server(serve: Serve) -> None:
    """A browser of the network finds it at an address that serves it, and sees it go."""
    if not reachable_addresses([("0.0.0.0", 0)]):
        pytest.skip("this machine has no address but its loopback one")
    seen: asyncio.Queue[tuple[ServiceStateChange, str]] = asyncio.Queue()

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        seen.put_nowait((state_change, name))

    async def wait_for(change: ServiceStateChange, host: str) -> str:
        while True:
            found, name = await seen.get()
            if found is change and name.startswith(host):
                return name

    network = AsyncZeroconf()
    browser = AsyncServiceBrowser(network.zeroconf, SERVICE, handlers=[changed])
    try:
        server = await serve(**NETWORK)
        while True:
            name = await wait_for(ServiceStateChange.Added, "kani-tts-")
            info = AsyncServiceInfo(SERVICE, name)
            # Another server of this network may have been found.
            if await info.async_request(network.zeroconf, 3000) and info.port == server.streams["Wyoming"]:
                break
        assert set(info.parsed_addresses()) == set(reachable_addresses([("0.0.0.0", 0)]))
        assert (await load_info(server.streams["Wyoming"])).tts
        server.stop.set()
        await wait_for(ServiceStateChange.Removed, name)
    finally:
        await browser.async_cancel()
        await network.async_close()


IDLE_S = 0.2


async def test_silent_client_is_disconnected(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_S", IDLE_S)
    for begun in (
        (Event("ping"),),
        (Event("synthesize-start"), Event("synthesize-chunk", {"text": "uno dos. tres "})),
        (Event("transcribe"), chunk(steps(True)[0])),
        (Event("synthesize", {"text": "uno"}),),
    ):
        async with client(port) as connected:
            # It may be disconnected between two of its events.
            with suppress(ConnectionError):
                await send(connected, *begun)
                await read_all(connected)


async def test_client_that_waits_for_the_server_is_not(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await serve()
    server.engine.allow = 0
    async with client(server.streams["Wyoming"]) as connected:
        # On a busy machine the first event may take longer than the wait that is shortened here.
        await connected.write_event(Event("ping"))
        await read_until(connected, "pong")
        monkeypatch.setattr(connection, "IDLE_S", IDLE_S)
        await connected.write_event(Event("synthesize", {"text": "uno"}))
        await asyncio.sleep(3 * IDLE_S)
        await server.engine.permit(None)
        await read_until(connected, "audio-stop")


async def test_client_that_reads_nothing_is_disconnected(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREAD_S", 0.3)
    server = await serve()
    ping = PackedEvent("ping", {"text": "x" * 1000}).pack() * 100
    with await small_socket(server.streams["Wyoming"]) as sock, pytest.raises(ConnectionError):
        while True:
            await asyncio.get_running_loop().sock_sendall(sock, ping)
    assert "sent, or read, nothing for too long" in caplog.text


async def test_idle_connections_make_room_for_new_ones(serve: Serve) -> None:
    """257 TCP connections fit beside one WebSocket; those that wait for a request are closed first."""
    server = await serve(KANI_MAX_CONNECTIONS="1")
    port = server.streams["Wyoming"]
    async with AsyncExitStack() as open_connections:
        speaking = await open_connections.enter_async_context(client(port))
        await speaking.write_event(Event("synthesize-start"))
        idle = [await open_connections.enter_async_context(client(port)) for _ in range(260)]
        for each in idle[:250]:
            await each.write_event(Event("ping"))
        with suppress(AssertionError, ConnectionError):
            await read_until(idle[249], "pong")
        for _ in range(10):
            assert (await load_info(port)).tts
        await speaking.write_event(Event("synthesize-chunk", {"text": "uno dos. tres "}))
        await read_until(speaking, "audio-chunk")


async def test_room_for_unfinished_events_is_shared(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client is refused if its event has no room beside another's; small events always have."""
    budget = upload_budget(1000)
    monkeypatch.setattr("kani.server.app.upload_budget", lambda *_: budget)
    port = (await serve()).streams["Wyoming"]
    _, writer = await asyncio.open_connection(HOST, port)
    writer.write(b'{"type": "future", "payload_length": 500000}\n' + bytes(300_000))
    await happens(lambda: budget.used > 1000)
    async with client(port) as other:
        assert (await load_info(port)).tts
        await other.write_event(chunk(steps(True)[0] * 100))
        (error,) = await read_all(other)
    assert error.type == "error" and error.data["code"] == "busy"
    writer.close()
    await writer.wait_closed()


HALF = b'{"type": "future", "payload_length": 1048576}\n'


@pytest.mark.parametrize("payload", [b"", bytes(2**20 - 1)], ids=["announced", "sent"])
async def test_half_events_do_not_refuse_the_uploads_of_others(serve: Serve, payload: bytes) -> None:
    server = await serve()
    crowd, answers = [], []
    for _ in range(40):
        reader, writer = await asyncio.open_connection(HOST, server.streams["Wyoming"])
        writer.write(b'{"type": "ping"}\n')
        await reader.readline()
        crowd.append(writer)
        answers.append(asyncio.create_task(reader.read()))
        # The server may refuse it before it has all come.
        with suppress(ConnectionError):
            writer.write(HALF + payload)
            await writer.drain()
    held = KEYLESS_BYTES // 2**20 + 1 if payload else len(crowd)
    async with asyncio.timeout(WITHIN_S):
        pending = set(answers)
        while len(pending) > held:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            assert all(task.exception() is not None or b'"busy"' in task.result() for task in done)
        answer = await server.post("/v1/audio/speech", json={"input": "x" * 2**20, "voice": "alloy"})
    assert answer.status_code == 400 and "input" in answer.text
    for writer in crowd:
        writer.transport.abort()
    await asyncio.gather(*answers, return_exceptions=True)


@pytest.mark.parametrize(
    ("begun", "reason"),
    [
        (b"", "head"),
        (b'{"type":', "head"),
        (b'{"type": "ping", "data_length": 9}\n{', "head"),
        (b'{"type": "ping"}\n{"type":', "body"),
        (b'{"type": "ping"}\n' + HALF + bytes(1000), "body"),
        (b'{"type": "synthesize-start"}\n{"type": "ping"}\n{', "message"),
    ],
    ids=["nothing", "half a line", "half an event", "half a second line", "half a payload", "in speech"],
)
async def test_rest_of_an_event_has_to_come_in_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, begun: bytes, reason: str
) -> None:
    hasty = ReadTimeouts(head_s=0.3, progress_s=0.3, check_interval_s=0.05)
    monkeypatch.setattr(tcp_connections, "ReadTimeouts", lambda: hasty)
    server = await serve()
    async with asyncio.timeout(WITHIN_S), client(server.streams["Wyoming"]) as idle:
        await idle.write_event(Event("ping"))
        await read_until(idle, "pong")
        reader, writer = await asyncio.open_connection(HOST, server.streams["Wyoming"])
        writer.write(begun)
        with suppress(ConnectionError):
            await reader.read()
        # A client between two events may wait.
        await idle.write_event(Event("ping"))
        await read_until(idle, "pong")
        assert await server.figure("kani_connections_closed_total", reason=reason) == 1
        writer.close()
