"""Reads and writes Ogg pages (RFC 3533, 6)."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CONTINUED, FIRST, LAST = 1, 2, 4
"""Flags: begins with the rest of a packet; first page of its stream; last page of its stream."""

NO_PACKET_ENDS = -1
"""Granule position of a page on which no packet ends."""

_HEADER_BYTES = 27
_GRANULE_AT = 6
_BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Page:
    """A page with a correct checksum."""

    flags: int
    granule: int
    serial: int
    sequence: int
    lacing: bytes
    body: bytes

    def packet_parts(self) -> Iterator[tuple[bytes, bool]]:
        """The packets, or parts of packets, in the body; True for those that end here."""
        start = end = 0
        for length in self.lacing:
            end += length
            if length < 255:
                yield self.body[start:end], True
                start = end
        if self.lacing.endswith(b"\xff"):
            yield self.body[start:end], False


def write_page(packets: Sequence[bytes], granule: int, flags: int, serial: int, sequence: int) -> bytes:
    """Write a page of complete packets, 255 at most."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, granule, serial, sequence, 0)
    page = bytearray(head + bytes([len(lacing)]) + lacing + b"".join(packets))
    struct.pack_into("<I", page, 22, _checksum(bytes(page)))
    return bytes(page)


def page_size(buffer: bytearray, at: int) -> int | None:
    """Bytes of the page that begins at ``at``; None while its header is incomplete."""
    if len(buffer) < at + _HEADER_BYTES:
        return None
    segments = at + _HEADER_BYTES + buffer[at + _HEADER_BYTES - 1]
    if len(buffer) < segments:
        return None
    return segments - at + sum(buffer[at + _HEADER_BYTES : segments])


def last_granule(data: bytes) -> int | None:
    """Return the granule position of the last page on which a packet ends. data: complete pages."""
    buffer, at, granule = bytearray(data), 0, None
    while (size := page_size(buffer, at)) is not None:
        (position,) = struct.unpack_from("<q", buffer, at + _GRANULE_AT)
        granule = granule if position == NO_PACKET_ENDS else position
        at += size
    return granule


def read_page(data: bytes) -> Page | None:
    """Parse a complete page; None if it is damaged, or of another version."""
    _, version, flags, granule, serial, sequence, checksum, segments = struct.unpack_from("<4sBBqIIIB", data)
    if version != 0 or _checksum(data[:22] + bytes(4) + data[26:]) != checksum:
        return None
    body = _HEADER_BYTES + segments
    return Page(flags, granule, serial, sequence, data[_HEADER_BYTES:body], data[body:])


def _checksum(data: bytes) -> int:
    """Ogg's CRC-32 of a page, its checksum field being zero.

    It is zlib's polynomial with the bits of each byte, and of the result, reversed, starting from zero and
    not inverted.
    """
    crc = zlib.crc32(data.translate(_BITS_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
