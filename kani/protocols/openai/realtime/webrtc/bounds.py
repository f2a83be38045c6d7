"""Bounds of what a caller can make aiortc and aioice do and keep.

aioice keeps each datagram that anybody sends to a call. aiortc does all that a packet asks for: it walks the
65,536 numbers that four bytes name, sends each packet again that is named, opens a stream for each number.
``READ`` names the versions that were read for this, from the socket to the tracks. Others may do more: with
them calls are refused.
"""

import asyncio
import logging
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import aiortc
import pylibsrtp
from aiortc import rtcsctptransport
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcdtlstransport import State
from aiortc.rtcsctptransport import (
    ForwardTsnChunk,
    HeartbeatChunk,
    ReconfigChunk,
    SackChunk,
    tsn_minus_one,
)
from aiortc.rtp import RtcpRtpfbPacket
from OpenSSL import SSL

from kani.protocols.openai.realtime.webrtc.processor_share import ProcessorShare

READ = {"aiortc": "1.16.0", "aioice": "0.13.0"}
"""Versions for which this module was written."""

LIBRARY_ERRORS = (
    *(ValueError, LookupError, TypeError, AttributeError, AssertionError, StopIteration, struct.error),
    *(InternalError, InvalidAccessError, InvalidStateError, OperationError, pylibsrtp.Error, SSL.Error),
)
"""Errors of aiortc and aioice for what they do not understand, or cannot serve."""

MAX_DATAGRAM = 1500
"""Bytes of a datagram: libsrtp's buffer takes no more, and an empty one ends the task that reads them."""

MAX_QUEUED, MAX_DROPPED = 256, 4096
"""Datagrams of a call that wait to be read, five seconds of audio; and that were dropped, until it ends."""

MAX_SOURCES = 16
"""Addresses from which a caller may send."""

MAX_STREAMS, MAX_PIECES = 16, 1024
"""Streams of the data channels, and what waits in them for the rest of a message or for a lost packet. aiortc
walks over all of it with each piece that comes."""

MAX_BLOCKS, MAX_DUPLICATES = 256, 64
"""Runs of pieces after a lost one, and pieces that came twice, in one acknowledgement. aiortc sends 1,500
bytes of it, and keeps the rest."""

MAX_ECHO = 1024
"""Bytes of a heartbeat, which is sent back."""

MAX_RECORDS = 64
"""Messages in one datagram."""

MAX_SSRCS = 8
"""Sources of audio: each takes 24 bytes of the reports, which libsrtp cannot encrypt above 1,500."""

MAX_UNDECODED = 32
"""Packets of audio that wait for the decoder; at the end of a call the event loop waits for it."""

CLOSE_S = 5.0
"""Time for aiortc to end a call."""

TURN_S = 0.002
"""Processor time after which the packets of a call let others go on."""

Handle = Callable[..., Coroutine[Any, Any, None]]

logger = logging.getLogger(__name__)
# It warns of each packet that cannot be decoded, and of each offer that no packet can carry out.
logging.getLogger("aiortc").setLevel(logging.ERROR)


def unread_versions() -> str:
    """Return what has to be installed instead of versions that were not read, or nothing."""
    installed = {name: version(name) for name in READ}
    unread = [name for name in READ if installed[name] != READ[name]]
    return ", ".join(f"{name} {READ[name]} (installed is {installed[name]})" for name in unread)


def decode_params(body: bytes) -> list[tuple[int, bytes]]:
    """Return the parameters of a chunk. Raises ValueError.

    Replaces aiortc's, which stays for ever at one with a length of 0.
    """
    params, at = [], 0
    while at <= len(body) - 4:
        kind, length = struct.unpack_from("!HH", body, at)
        if length < 4:
            raise ValueError("an SCTP parameter is shorter than its head")
        params.append((kind, body[at + 4 : at + length]))
        at += length + rtcsctptransport.padl(length)
    return params


rtcsctptransport.decode_params = decode_params


class CallBounds:
    """The bounds of one call, once its offer was taken and before its socket is opened."""

    def __init__(self, peer: aiortc.RTCPeerConnection, host: str, end: Callable[[], None]) -> None:
        """host: address for the caller's packets; end: ends the call."""
        (transceiver,) = peer.getTransceivers()
        self._peer, self._end = peer, end
        self._sender, self._receiver = transceiver.sender, transceiver.receiver
        self._sctp: Any = peer.sctp
        self._dtls: Any = self._sender.transport
        self._share = ProcessorShare()
        self._over = False
        self._ssrcs: set[bytes] = set()
        self._bound_sources(self._dtls.transport._connection, host)
        self._bound_packets(self._dtls)
        self._bound_channels()
        self._bound_media(self._receiver._RTCRtpReceiver__decoder_queue)
        self._bound_reports(self._receiver)

    def end(self, reason: str) -> None:
        """End the call; reason: for the log."""
        if not self._over:
            logger.info("a call was ended: %s", reason)
        self._over = True
        self._end()

    async def close(self) -> None:
        """End aiortc's side within ``CLOSE_S``, or release its sockets and tasks without it."""
        self._over = True
        self._share.close()
        if await _within(CLOSE_S, self._peer.close()):
            return
        logger.error("aiortc did not end a call within %g s: its socket is closed", CLOSE_S)
        for part in (self._sender, self._sctp, self._dtls, self._dtls.transport):
            await _within(CLOSE_S, part.stop())

    def _bound_sources(self, ice: Any, host: str) -> None:
        """Open a socket at ``host`` only; keep what comes from those who have shown the call's password."""
        gather, keep, check = ice.get_component_candidates, ice.data_received, ice.check_incoming
        name = ice.local_username.encode()

        def is_source(address: tuple[Any, ...]) -> bool:
            # Candidates of the offer are left out: all of these are of checks that came with the password.
            known = ice._remote_candidates
            return any(each.port == address[1] and each._network_host == address[0] for each in known)

        dropped = 0

        def data_received(data: bytes, component: int) -> None:
            nonlocal dropped
            if self._over:
                return
            if ice._queue.qsize() < MAX_QUEUED:
                keep(data, component)
                return
            dropped += 1
            if dropped > MAX_DROPPED:
                self.end("it sends more than can be read")

        def bound_protocol(protocol: Any) -> None:
            receive = protocol.datagram_received

            def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
                is_check = data[:1] < b"\4"  # RFC 7983, 7
                is_welcome = is_source(address) or (is_check and name in data)
                if not (is_welcome and 0 < len(data) <= MAX_DATAGRAM):
                    return
                if not is_check:
                    data_received(data, protocol.local_candidate.component)
                    return
                with suppress(*LIBRARY_ERRORS):
                    self._share.do(lambda: receive(data, address))

            protocol.datagram_received = datagram_received

        async def get_component_candidates(component: int, addresses: list[str]) -> Any:
            found = await gather(component, [host])
            for protocol in ice._protocols:
                bound_protocol(protocol)
            return found

        def check_incoming(message: Any, address: tuple[Any, ...], protocol: Any) -> None:
            if len(ice._remote_candidates) < MAX_SOURCES or is_source(address):
                check(message, address, protocol)

        ice.get_component_candidates, ice.data_received = get_component_candidates, data_received
        ice.check_incoming = check_incoming

    def _bound_packets(self, dtls: Any) -> None:
        """Hand over a packet when the call has processor time for it, and let others go on after each."""
        receive, send, validate = dtls.transport._recv, dtls._send_data, dtls._validate_peer_identity
        is_dtls = False

        async def recv() -> bytes:
            nonlocal is_dtls
            if is_dtls and dtls.encrypted:
                await self._read_further_records()
            await self._share.rest()
            data: bytes = await receive()
            is_dtls = 19 < data[0] < 64
            self._share.begin()
            return data

        async def send_data(data: bytes) -> None:
            # As if it were lost: tasks of aiortc send, too, in which nobody would see the error.
            with suppress(ConnectionError, SSL.Error):
                await send(data)

        def validate_peer_identity(parameters: Any) -> None:
            try:
                validate(parameters)
            except LIBRARY_ERRORS:  # such as of a certificate that cannot be read
                dtls._set_state(State.FAILED)

        dtls.transport._recv, dtls._send_data = recv, send_data
        dtls._validate_peer_identity = validate_peer_identity

    async def _read_further_records(self) -> None:
        """Read a datagram's records after the first: aiortc reads only that, and OpenSSL keeps the others."""
        for _ in range(MAX_RECORDS):
            try:
                data = self._dtls._ssl.recv(1500)
            except SSL.Error:
                return
            await self._sctp._handle_data(data)
        self.end(f"a datagram held more than {MAX_RECORDS} records")

    def _bound_channels(self) -> None:
        sctp = self._sctp
        handle_chunk = sctp._receive_chunk

        async def receive_chunk(chunk: Any) -> None:
            if not self._over and self._is_bounded(chunk):
                await handle_chunk(chunk)
                del sctp._sack_duplicates[MAX_DUPLICATES:]
                self._check_channels()
            # A packet holds up to 370 chunks.
            await self._share.rest(after=TURN_S)

        sctp._receive_chunk = receive_chunk
        sctp._handle_data = self._guarded(sctp._handle_data)

    def _is_bounded(self, chunk: Any) -> bool:
        """Return False for a chunk that asks for more than a call in its state can need."""
        match chunk:
            case SackChunk():
                sent = len(self._sctp._sent_queue)
                in_range = all(0 < first <= last <= sent for first, last in chunk.gaps)
                return in_range and sum(last - first + 1 for first, last in chunk.gaps) <= sent
            case ForwardTsnChunk():
                chunk.streams = list(dict(chunk.streams).items())
                return len({*self._sctp._inbound_streams, *dict(chunk.streams)}) <= MAX_STREAMS
            case HeartbeatChunk():
                return sum(len(value) for _, value in chunk.params) <= MAX_ECHO
            case ReconfigChunk():
                return len(chunk.params) <= 2  # RFC 6525, 3.1
        return True

    def _check_channels(self) -> None:
        """End the call once too much waits in the transport of its data channels."""
        sctp, lost = self._sctp, self._sctp._sack_misordered
        streams = sctp._inbound_streams.values()
        waiting = len(lost) + sum(len(each.reassembly) for each in streams)
        blocks = 0
        if len(lost) > MAX_BLOCKS:
            blocks = sum(tsn_minus_one(number) not in lost for number in lost)
        if max(len(streams), len(sctp._data_channels)) > MAX_STREAMS:
            self.end(f"it opened more than {MAX_STREAMS} data channels")
        elif sctp._advertised_rwnd < 0 or waiting > MAX_PIECES or blocks > MAX_BLOCKS:
            self.end("too much of its data channels waits for the rest of messages")

    def _bound_media(self, decoded: Any) -> None:
        """decoded: queue of the packets that wait for the decoder."""
        handle_rtp, handle_feedback = self._dtls._handle_rtp_data, self._sender._handle_rtcp_packet

        async def handle_rtp_data(data: bytes, arrival_time_ms: int) -> None:
            if len(self._ssrcs) < MAX_SSRCS:
                self._ssrcs.add(data[8:12])
            if data[8:12] in self._ssrcs and decoded.qsize() < MAX_UNDECODED:
                await handle_rtp(data, arrival_time_ms=arrival_time_ms)

        async def handle_rtcp_packet(packet: Any) -> None:
            # Lost audio is not sent again, and no answer to an offer says that it is.
            if not isinstance(packet, RtcpRtpfbPacket):
                await handle_feedback(packet)

        self._dtls._handle_rtp_data = self._guarded(handle_rtp_data)
        self._dtls._handle_rtcp_data = self._guarded(self._dtls._handle_rtcp_data)
        self._sender._handle_rtcp_packet = handle_rtcp_packet

    def _bound_reports(self, receiver: Any) -> None:
        """Let the receiver stop though its reports could not be written, for which aiortc waits for ever."""
        report = receiver._run_rtcp

        async def run_rtcp() -> None:
            with suppress(*LIBRARY_ERRORS):  # such as of a jitter of more than 32 bits
                await report()
            receiver._RTCRtpReceiver__rtcp_exited.set()

        receiver._run_rtcp = run_rtcp

    def _guarded(self, handle: Handle) -> Handle:
        """Return ``handle`` that ends the call, and not the task of its transport, by an error of aiortc."""

        async def guarded(*given: Any, **named: Any) -> None:
            if self._over:
                return
            try:
                await handle(*given, **named)
            except LIBRARY_ERRORS as error:
                self.end(f"it sent what is no message: {error!r}")

        return guarded


async def _within(seconds: float, work: Coroutine[Any, Any, None]) -> bool:
    """Await ``work``; return False if it took longer, or failed by an error of aiortc."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except (TimeoutError, ConnectionError, *LIBRARY_ERRORS) as error:
        logger.info("the end of a call: %r", error)
        return False
    return True
