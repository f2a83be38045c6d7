"""A call whose client sends what no client does: raw SCTP, RTP, RTCP and datagrams, by aiortc's peer."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pylibsrtp
from aioice import stun
from aiortc.rtcsctptransport import crc32c
from aiortc.rtp import RtpPacket

from tests.clients.openai_call import Caller, post_offer
from tests.support.patience import WITHIN_S
from tests.support.servers.address import Addressed

OPUS_SILENCE = bytes((0xF8, 0xFF, 0xFE))  # 20 ms
OPUS = 96  # its payload type in aiortc's offers


def chunk(kind: int, body: bytes = b"", flags: int = 0, length: int | None = None) -> bytes:
    """Return an SCTP chunk; length: what its header says, by default what it has."""
    header = struct.pack("!BBH", kind, flags, 4 + len(body) if length is None else length)
    return header + body + bytes(-len(body) % 4)


def data(
    tsn: int, user_data: bytes, stream: int = 0, seq: int = 0, flags: int = 7, protocol: int = 51
) -> bytes:
    """Return a DATA chunk; flags: 7 is a whole message, out of order, and 4 neither its begin nor its end."""
    return chunk(0, struct.pack("!LHHL", tsn % 2**32, stream, seq, protocol) + user_data, flags)


def sack(tsn: int, gaps: Iterable[tuple[int, int]] = (), duplicates: Iterable[int] = ()) -> bytes:
    gaps, duplicates = [*gaps], [*duplicates]
    body = struct.pack("!LLHH", tsn % 2**32, 2**20, len(gaps), len(duplicates))
    body += b"".join(struct.pack("!HH", *gap) for gap in gaps)
    return chunk(3, body + b"".join(struct.pack("!L", each) for each in duplicates))


def forward_tsn(tsn: int, streams: Iterable[int]) -> bytes:
    return chunk(192, struct.pack("!L", tsn % 2**32) + b"".join(struct.pack("!HH", n, 0) for n in streams))


def stream_reset(sequence: int, tsn: int, *streams: int) -> bytes:
    parameter = struct.pack(f"!LLL{len(streams)}H", sequence % 2**32, 0, tsn % 2**32, *streams)
    return chunk(130, struct.pack("!HH", 13, 4 + len(parameter)) + parameter + bytes(-len(parameter) % 4))


def channel_open(label: bytes = b"x") -> bytes:
    return struct.pack("!BBHLHH", 3, 0, 0, 0, len(label), 0) + label


def feedback(kind: int, count: int, body: bytes) -> bytes:
    """Return an RTCP packet; count: the five bits of its header."""
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def nack(media_ssrc: int, numbers: Iterable[tuple[int, int]], ssrc: int = 1) -> bytes:
    pairs = b"".join(struct.pack("!HH", *each) for each in numbers)
    return feedback(205, 1, struct.pack("!LL", ssrc, media_ssrc) + pairs)


class HostileCall(Caller):
    """A call by aiortc's own peer, for what is sent once it is open. ``answer``: the server's."""

    answer = ""

    @property
    def dtls(self) -> Any:
        return self.sender.transport

    @property
    def sctp(self) -> Any:
        return self.peer.sctp

    @property
    def ice(self) -> Any:
        return self.dtls.transport._connection

    @property
    def address(self) -> tuple[str, int]:
        """The server's, for the packets of this call."""
        return candidate_of(self.answer)

    @property
    def media_ssrc(self) -> int:
        """The source of the server's audio."""
        at = self.answer.index("a=ssrc:")
        return int(self.answer[at + 7 :].split(None, 1)[0])

    @property
    def received(self) -> int:
        """Bytes that came from the server after ICE."""
        return int(self.dtls._RTCDtlsTransport__rx_bytes)

    @property
    def next_tsn(self) -> int:
        return int(self.sctp._local_tsn)

    def packet(self, *chunks: bytes, tag: int | None = None) -> bytes:
        """Return an SCTP packet of the association, with its checksum."""
        tag = self.sctp._remote_verification_tag if tag is None else tag
        header = struct.pack("!HHL", self.sctp._local_port, self.sctp._remote_port, tag)
        body = b"".join(chunks)
        return header + struct.pack("<L", crc32c(header + bytes(4) + body)) + body

    def records(self, *payloads: bytes) -> bytes:
        """Return DTLS records, for one datagram."""
        for payload in payloads:
            self.dtls._ssl.send(payload)
        return bytes(self.dtls._ssl.bio_read(2**20))

    def send_raw(self, *datagrams: bytes) -> None:
        """Send datagrams, or nothing once the call has ended."""
        for pair in self.ice._nominated.values():
            for each in datagrams:
                pair.protocol.transport.sendto(each, pair.remote_addr)

    def send_rtp(self, ssrc: int, number: int, timestamp: int, payload: bytes = OPUS_SILENCE) -> None:
        packet = RtpPacket(OPUS, 0, number % 2**16, timestamp % 2**32, ssrc, payload)
        self.send_raw(self.protected_rtp(packet.serialize()))

    def protected_rtcp(self, *parts: bytes) -> bytes:
        return bytes(self.dtls._tx_srtp.protect_rtcp(b"".join(parts)))

    def protected_rtp(self, packet: bytes) -> bytes:
        return bytes(self.dtls._tx_srtp.protect(packet))

    def deaf(self) -> None:
        """Keep this side's own association from answering."""

        async def ignore(_: bytes) -> None: ...

        self.sctp._handle_data = ignore

    async def audio_numbers(self, count: int) -> list[int]:
        """Return the sequence numbers of the next packets of the server's audio."""
        numbers: asyncio.Queue[int] = asyncio.Queue()
        handle = self.dtls._handle_rtp_data

        async def noted(packet: bytes, **more: Any) -> None:
            numbers.put_nowait(struct.unpack_from("!H", packet, 2)[0])

        self.dtls._handle_rtp_data = noted
        try:
            return [await asyncio.wait_for(numbers.get(), WITHIN_S) for _ in range(count)]
        finally:
            self.dtls._handle_rtp_data = handle

    @property
    def check_name(self) -> str:
        return f"{self.ice.remote_username}:{self.ice.local_username}"

    def leave(self) -> None:
        """Go without a word: neither DTLS nor RTCP says goodbye."""
        self.ice._query_consent_task.cancel()
        for protocol in self.ice._protocols:
            protocol.transport.abort()


def candidate_of(answer: str) -> tuple[str, int]:
    """Return the address of an answer's candidate."""
    fields = next(line for line in answer.splitlines() if line.startswith("a=candidate")).split()
    return fields[4], int(fields[5])


@asynccontextmanager
async def hostile_call(server: Addressed) -> AsyncIterator[HostileCall]:
    """Call, and yield the call once its session is there; it hears none of the server's chunks then."""
    caller = HostileCall()
    try:
        answer = await post_offer(server, await caller.offer())
        assert answer.status_code == 201, answer.text
        caller.answer, caller.location = answer.text, answer.headers["location"]
        await caller.connect(answer.text)
        await caller.until("session.created")
        caller.deaf()
        yield caller
    finally:
        await caller.close()


def damaged(valid: bytes, chance: random.Random) -> bytes:
    """Return these bytes with one to four changes: other values, less, more, or an early end."""
    changed = bytearray(valid)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0:
                del changed[at : at + chance.randrange(1, 9)]
            case 1:
                changed[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 2:
                del changed[at:]
            case _:
                changed[at : at + 1] = bytes((chance.choice((0, 1, 127, 128, 255, chance.randrange(256))),))
    return bytes(changed)


def fuzz(call: HostileCall, chance: random.Random, count: int) -> None:
    """Send so many datagrams of every kind that a call takes, most of them damaged."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(count):
            try:
                datagram = _any_datagram(call, chance)
            except pylibsrtp.Error:
                continue  # what cannot even be encrypted
            if chance.random() < 0.1:
                stranger.sendto(datagram, call.address)
            else:
                call.send_raw(datagram)


def _any_datagram(call: HostileCall, chance: random.Random) -> bytes:
    own, theirs, number = call.sender._ssrc, call.media_ssrc, chance.randrange

    def some(valid: list[bytes]) -> list[bytes]:
        picked = chance.choices(valid, k=number(1, 5))
        return [damaged(each, chance) if number(5) < 3 else each for each in picked]

    match number(10):
        case 0 | 1 | 2 | 3:
            return call.records(call.packet(*some(_chunks(call, chance)), tag=None if number(20) else 0))
        case 4 | 5:
            return call.protected_rtcp(*some(_reports(own, theirs)), bytes(8))
        case 6:
            first, kind = chance.choice((128, 144, 160, 191)), chance.choice((96, 97, 0))
            packet = struct.pack("!BBHLL", first, kind, number(2**16), 0, own + 1) + chance.randbytes(
                number(60)
            )
            return call.protected_rtp(packet)
        case 7:
            method, kind = chance.choice([*stun.Method]), chance.choice([*stun.Class])
            check = stun.Message(method, kind, attributes={"USERNAME": call.check_name, "PRIORITY": 1})
            if number(2):
                check.attributes["ICE-CONTROLLED"] = number(2**64)
            check.add_message_integrity(call.ice.remote_password.encode())
            return some([bytes(check)])[0]
        case 8:
            return damaged(call.records(call.packet(*some(_chunks(call, chance)))), chance)
        case _:
            return chance.randbytes(chance.choice((0, 1, 2, 13, 40, 1500, 1600, 3000)))


def _chunks(call: HostileCall, chance: random.Random) -> list[bytes]:
    tsn, number, sctp = call.next_tsn, chance.randrange, call.sctp
    return [
        data(
            tsn + number(-3, 300),
            chance.randbytes(number(40)),
            number(4),
            number(4),
            number(8),
            number(50, 58),
        ),
        data(tsn, channel_open(), number(20), protocol=50),
        sack(
            sctp._last_received_tsn + number(3),
            [(number(1, 9), number(1, 20))] * number(5),
            [tsn] * number(3),
        ),
        forward_tsn(tsn + number(30), range(number(8))),
        stream_reset(sctp._reconfig_request_seq + number(5), tsn, 5, 6),
        chunk(130, struct.pack("!HHLL", 16, 12, sctp._reconfig_response_seq, number(8))),
        chunk(4, struct.pack("!HH", 1, 12) + bytes(8)),
        chunk(1, struct.pack("!LLHHL", 5, 9, 9, 9, 9)),
        chunk(9, struct.pack("!HH", 1, 4)),
        *(chunk(kind, chance.randbytes(number(30))) for kind in (5, 8, 10, 11, 14, number(256))),
    ]


def _reports(own: int, theirs: int) -> list[bytes]:
    return [
        feedback(201, 1, struct.pack("!7L", own, theirs, 1, 2, 3, 4, 5)),
        feedback(200, 0, struct.pack("!LQLLL", own, 1, 1, 1, 1)),
        feedback(202, 1, struct.pack("!L", own) + b"\1\2ab\0\0\0\0"),
        feedback(206, 15, struct.pack("!LL", own, 0) + b"REMB" + struct.pack("!BBHL", 1, 3, 3, theirs)),
        feedback(206, 1, struct.pack("!LL", own, theirs)),
        nack(theirs, [(1, 65535)] * 3),
    ]
