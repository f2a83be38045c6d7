"""Announcement of the port to the local network."""

from __future__ import annotations

import asyncio

import pytest
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from kani.protocols.wyoming.discovery import SERVICE, reachable_addresses
from tests.protocols.conftest import Serve
from tests.protocols.wyoming.home_assistant import load_info

NETWORK = {"KANI_HOST": "0.0.0.0", "KANI_NO_AUTH": "true"}


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


@pytest.mark.parametrize(
    "environment", [{}, {"KANI_WYOMING_ZEROCONF": "false", **NETWORK}], ids=["loopback", "switched_off"]
)
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
