"""Wyoming as the server mounts it; its port is announced by mDNS, so that Home Assistant finds it."""

import asyncio
import importlib
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from types import ModuleType

from kani.core.request import MAX_TEXT
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import Addresses, ByteStream, Context, Protocol, ServeStream, StreamPort
from kani.protocols.wyoming.connection import Connection
from kani.protocols.wyoming.framing import MAX_LINE_BYTES
from kani.protocols.wyoming.info import Description
from kani.protocols.wyoming.plugin import Settings

log = logging.getLogger(__name__)

SERVICE = "_wyoming._tcp.local."
MAX_LABEL_BYTES = 63
"""Bytes of one label of a name (RFC 1035)."""


@asynccontextmanager
async def advertised(addresses: Addresses) -> AsyncIterator[None]:
    """Announce the first port of ``addresses`` while the body runs.

    A network on which this fails is logged; the server works without it.
    """
    announcing = asyncio.create_task(_announce(addresses), name="zeroconf")
    try:
        yield
    finally:
        announcing.cancel()
        await asyncio.wait([announcing])


async def _announce(addresses: Addresses) -> None:
    """Announce the service until cancelled."""
    try:
        # They take a tenth of a second to load.
        await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        reachable = await asyncio.to_thread(reachable_addresses, addresses)
        if not reachable:
            log.warning("zeroconf: not announced: this machine has no address that others can reach")
            return
        await _register(reachable, addresses[0][1])
    except OSError as error:
        log.warning("zeroconf: not announced: %s", error)


async def _register(reachable: list[str], port: int) -> None:
    from zeroconf import Error
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    host = _label(socket.gethostname().partition(".")[0]) or "server"
    info = AsyncServiceInfo(
        SERVICE,
        f"{_label(f'kani-tts-{host}')}.{SERVICE}",
        port=port,
        parsed_addresses=reachable,
        server=f"{host}.local.",
    )
    announcer = AsyncZeroconf()
    try:
        await announcer.async_register_service(info, allow_name_change=True)
        log.info("announced as %s at %s port %d", info.name, ", ".join(reachable), port)
        await asyncio.Event().wait()
    except Error as error:
        log.warning("zeroconf: not announced: %s", error or type(error).__name__)
    finally:
        await announcer.async_close()


def reachable_addresses(addresses: Addresses) -> list[str]:
    """Return the addresses that other machines can reach: ``0.0.0.0`` and ``::`` stand for all of a kind."""
    ifaddr: ModuleType = importlib.import_module("ifaddr")
    own = [ip.ip if ip.is_IPv4 else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    listening = [ipaddress.ip_address(address.partition("%")[0]) for address, _ in addresses]
    found = [str(each) for each in listening if not each.is_unspecified]
    versions = {each.version for each in listening if each.is_unspecified}
    found += [each for each in own if ipaddress.ip_address(each).version in versions]
    return [each for each in dict.fromkeys(found) if _is_reachable(each)]


def _is_reachable(address: str) -> bool:
    # A link-local address of IPv6 means nothing without the interface, which the record cannot hold.
    parsed = ipaddress.ip_address(address)
    return not parsed.is_loopback and not (parsed.version == 6 and parsed.is_link_local)


def _label(name: str) -> str:
    return name.encode()[:MAX_LABEL_BYTES].decode(errors="ignore")


def protocol(settings: Settings, server: ServerSettings) -> Protocol:
    max_text = server.max_text or MAX_TEXT

    def serve_with(context: Context) -> ServeStream:
        service = context.service
        description = Description(service, server.version, settings)

        def serve(stream: ByteStream) -> Awaitable[None]:
            return Connection(stream, service, description, max_text, settings).run()

        return serve

    return Protocol(
        lambda _: [],
        streams=(
            StreamPort(
                name="Wyoming",
                port="wyoming_port",
                option="wyoming",
                allow="wyoming_allow",
                # The first byte of a line is read by itself.
                max_line=MAX_LINE_BYTES - 1,
                serve=serve_with,
                advertise=advertised,
            ),
        ),
    )
