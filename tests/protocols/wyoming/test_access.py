"""Access to Wyoming's port, its announcement to the local network, its limits, and the server's end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import pytest
from wyoming.event import Event
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from kani.protocols.wyoming.discovery import SERVICE, reachable_addresses
from kani.server.settings import SettingsError, load
from tests.protocols.conftest import Serve
from tests.protocols.wyoming.exchange import answer_to, ask, client, read_all, read_until, send
from tests.protocols.wyoming.home_assistant import load_info
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
    with suppress(ConnectionError):
        assert await answer_to(server.streams["Wyoming"], b'{"type": "describe"}\n') == b""
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
        await send(connected, Event("synthesize-start"))
        await send(connected, Event("synthesize-chunk", {"text": "Uno dos. Tres "}))
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


@pytest.mark.parametrize(
    ("listening", "reachable"),
    [
        (["127.0.0.1"], []),
        (["::1", "fe80::1%eth0"], []),
        (["192.168.1.7"], ["192.168.1.7"]),
        (["192.168.1.7", "192.168.1.7", "fd00::7"], ["192.168.1.7", "fd00::7"]),
    ],
)
def test_only_addresses_that_others_reach_are_announced(listening: list[str], reachable: list[str]) -> None:
    assert reachable_addresses([(address, 10300) for address in listening]) == reachable


@pytest.mark.parametrize("environment", [{}, NETWORK], ids=["loopback", "switched_off"])
async def test_nothing_is_announced(serve: Serve, environment: dict[str, str]) -> None:
    await serve(**environment)
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
        server = await serve(**NETWORK | {"KANI_WYOMING_ZEROCONF": "true"})
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
