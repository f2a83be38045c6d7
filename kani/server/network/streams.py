"""Connections of protocols that are neither HTTP nor WebSocket: their access, ids in logs, and end."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from kani.core import request_ids, tracing
from kani.core.errors import Busy
from kani.core.session.budget import Budget
from kani.protocols.shared.protocol import ByteStream, ServeStream, StreamPort
from kani.server.connections import Connections, Phase
from kani.server.network.input_turns import Rests
from kani.server.network.tcp_connections import Awaited, TcpConnection
from kani.server.traces.middleware import Tracer

log = logging.getLogger("server")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(written: Sequence[str]) -> tuple[Network, ...]:
    """Parse networks and single addresses. Raises ValueError."""
    return tuple(map(ipaddress.ip_network, written))


@dataclass(eq=False)
class StreamService:
    """Serves one port: what all its connections share."""

    port: StreamPort
    _serve: ServeStream
    _allowed: Sequence[Network]  # networks of its clients
    _connections: Connections
    _budget: Budget
    _tracer: Tracer | None = None

    def refusal(self, client: str) -> str | None:
        """Return why a connection of ``client`` (an IP address) is closed unserved; None if it is served."""
        if not self._is_allowed(client):
            return "its address is in none of the allowed networks"
        phase = self._connections.phase
        return None if phase is Phase.READY else f"the server is {phase.value}"

    def _is_allowed(self, client: str) -> bool:
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        return any(address in network for network in self._allowed)

    async def serve(self, tcp: TcpConnection, protocol: StreamProtocol, client: str) -> None:
        """Serve one connection, then close it."""
        reader, writer = protocol.reader, protocol.writer
        wait = _Wait(tcp)
        with request_ids.bind(request_ids.new()), self._traced(), self._budget.share() as share:
            try:
                if (refusal := self.refusal(client)) is not None:
                    log.info("%s: closed a connection of %s: %s", self.port.name, client, refusal)
                    return

                def hold(size: int) -> bool:
                    with suppress(Busy):
                        share.resize(size)
                        return True
                    return False

                stream = ByteStream(
                    reader,
                    writer,
                    client,
                    protocol.ended,
                    wait.set_busy,
                    wait.set_receiving,
                    hold,
                    protocol.rest,
                )
                await self._connections.serve_stream(self._serve_to_its_end(stream), protocol.end_input)
            except Exception:
                tracing.current().fail("unhandled error")
                log.exception("%s: unhandled error", self.port.name)
            finally:
                writer.close()

    @contextmanager
    def _traced(self) -> Iterator[None]:
        """Trace a connection while the body runs."""
        if self._tracer is None:
            yield
            return
        with self._tracer.connection(self.port.name) as span, tracing.bind(span):
            span.set({"network.protocol.name": self.port.name.lower(), "request.id": request_ids.current()})
            yield

    async def _serve_to_its_end(self, stream: ByteStream) -> None:
        """Serve one connection, and return once its client has what was sent, or the connection is lost."""
        await self._serve(stream)
        stream.writer.close()
        with suppress(OSError):
            await stream.writer.wait_closed()


class _Wait:
    """The input that a client owes: its first event, the rest of one, or its next request."""

    def __init__(self, tcp: TcpConnection) -> None:
        self._tcp = tcp
        self._busy = self._receiving = self._introduced = False

    def set_busy(self, busy: bool) -> None:
        self._busy = busy
        self._expect()

    def set_receiving(self, receiving: bool) -> None:
        self._receiving = receiving
        self._introduced = self._introduced or not receiving
        self._expect()

    def _expect(self) -> None:
        if not self._introduced:
            return
        if self._receiving:
            # One that serves a request is not closed to make room.
            self._tcp.expect(Awaited.MESSAGE if self._busy else Awaited.BODY)
        else:
            self._tcp.expect(Awaited.NOTHING if self._busy else Awaited.REQUEST)


class StreamProtocol(asyncio.StreamReaderProtocol):
    """One connection, counted in ``tcp``."""

    def __init__(self, service: StreamService, tcp: TcpConnection) -> None:
        self.reader = asyncio.StreamReader(service.port.max_line)
        super().__init__(self.reader, self._connected)
        self._service = service
        self._tcp = tcp
        self._rests = Rests()
        self.writer: asyncio.StreamWriter
        self.ended = asyncio.Event()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        peer: Any = writer.get_extra_info("peername")
        await self._service.serve(self._tcp, self, peer[0] if peer else "")

    async def rest(self) -> None:
        await asyncio.sleep(self._rests.due())

    def end_input(self) -> None:
        """Let reading end, as if the client had closed its side."""
        if not self.ended.is_set():
            self.ended.set()
            self.reader.feed_eof()

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._tcp.attach(transport, transport.abort, lambda: None)
        super().connection_made(transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._tcp.received(len(data))
        self._rests.begin()
        # Input after ``end_input`` is dropped: the reader accepts none after its end.
        if not self.ended.is_set():
            super().data_received(data)

    @override
    def eof_received(self) -> bool | None:
        self.ended.set()
        return super().eof_received()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()
        super().connection_lost(exc)
        self._tcp.closed()
