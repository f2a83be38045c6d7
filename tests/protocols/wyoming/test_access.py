"""Access to Wyoming's port, its limits, and the server's end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import pytest
from wyoming.event import Event

from kani.server.settings import SettingsError, load
from tests.protocols.conftest import Serve
from tests.protocols.wyoming.exchange import ask, client, read_all, read_until
from tests.protocols.wyoming.home_assistant import HOST, load_info
from tests.server.test_settings import NO_FILE

NETWORK = {"KANI_HOST": "0.0.0.0", "KANI_NO_AUTH": "true", "KANI_WYOMING_ZEROCONF": "false"}
SAY = Event("synthesize", {"text": "uno"})


@pytest.mark.parametrize(
    ("environment", "is_open"),
    [
        ({"KANI_WYOMING": "false"}, False),
        ({"KANI_WYOMING": "false", "KANI_COMPAT": "true"}, True),
        ({"KANI_WYOMING": "false", "KANI_COMPAT": "true", **NETWORK}, False),
        ({"KANI_WYOMING": "true", **NETWORK}, True),
    ],
)
async def test_port_is_open_by_its_option(serve: Serve, environment: dict[str, str], is_open: bool) -> None:
    server = await serve(**environment)
    assert ("Wyoming" in server.streams) == ("wyoming  tcp://" in server.banner) == is_open


async def test_banner_names_the_networks_that_need_no_key(serve: Serve) -> None:
    server = await serve(KANI_WYOMING_ALLOW="192.168.1.0/24, 127.0.0.1", **NETWORK)
    assert "asks for no key; serves 192.168.1.0/24 127.0.0.1\n" in server.banner
    assert await load_info(server.streams["Wyoming"])


async def test_other_networks_are_not_served(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    server = await serve(KANI_WYOMING_ALLOW="192.168.1.0/24", **NETWORK)
    reader, writer = await asyncio.open_connection(HOST, server.streams["Wyoming"])
    writer.write(b'{"type": "describe"}\n')
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    assert "none of the allowed networks" in caplog.text


def test_allowed_networks_are_checked() -> None:
    assert "192.168.0.0/16" in load({}, {}, NO_FILE).wyoming_allow
    with pytest.raises(SettingsError, match=r"'192.168.1.7/24' is no network"):
        load({}, {"KANI_WYOMING_ALLOW": "10.0.0.0/8, 192.168.1.7/24"}, NO_FILE)


async def test_descriptions_count_for_no_limit(serve: Serve) -> None:
    server = await serve(KANI_MAX_CONNECTIONS="1", KANI_RATE_PER_MINUTE="1")
    port = server.streams["Wyoming"]
    server.engine.allow = 0
    async with client(port) as speaking:
        await speaking.write_event(SAY)
        while not server.engine.under_way:
            await asyncio.sleep(0.001)
        for _ in range(5):
            await load_info(port)
        refused = await ask(port, SAY, last="error")
        assert refused[-1].data["code"] == "busy"
        await server.engine.permit(None)
        await read_until(speaking, "audio-stop")
    limited = await ask(port, SAY, last="error")
    assert "at most 1 a minute" in limited[-1].data["text"]


async def test_sessions_are_counted(serve: Serve) -> None:
    server = await serve()
    await ask(server.streams["Wyoming"], SAY, last="audio-stop")
    async with httpx.AsyncClient() as web:
        metrics = (await web.get(f"{server.http_url}/metrics")).text
    assert 'kani_requests_total{protocol="wyoming"} 1.0' in metrics
    assert 'kani_sessions{protocol="wyoming"} 0.0' in metrics


async def test_open_text_is_spoken_to_its_end_at_shutdown(serve: Serve) -> None:
    server = await serve()
    async with client(server.streams["Wyoming"]) as connected:
        await connected.write_event(Event("synthesize-start"))
        await connected.write_event(Event("synthesize-chunk", {"text": "Uno dos. Tres "}))
        await read_until(connected, "audio-chunk")
        server.stop.set()
        events = await read_until(connected, "synthesize-stopped")
        events += await read_all(connected)
    assert [event.type for event in events[-2:]] == ["audio-stop", "synthesize-stopped"]
    assert server.engine.words == ["Uno", "dos", "Tres"]


@pytest.mark.parametrize("begun", [(), (Event("describe"),)])
async def test_idle_connections_are_closed_at_shutdown(serve: Serve, begun: tuple[Event, ...]) -> None:
    server = await serve()
    async with client(server.streams["Wyoming"]) as connected:
        for event in begun:
            await connected.write_event(event)
            await read_until(connected, "info")
        server.stop.set()
        assert await read_all(connected) == []
