"""Wyoming's framing: a line of JSON, then its ``data`` in JSON, then its payload.

The ``wyoming`` package reads whatever lengths its peer names, before anything can be checked, and raises on a
line that is no object. So the server has a reader of its own, with the package as the client of its tests.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kani.core.errors import Busy
from kani.protocols.shared.calls.bodies import object_of
from kani.protocols.shared.errors import BadMessage
from kani.protocols.shared.protocol import ByteStream

MAX_LINE_BYTES = 64 * 1024
"""The limit of asyncio's readers, and so that of every other implementation."""

MAX_PAYLOAD_BYTES = 1024 * 1024
"""32 s of audio at 16 kHz; Home Assistant sends some 10 to 100 ms at a time."""

BASE_DATA_BYTES = 256 * 1024
BYTES_PER_CHARACTER = 12
"""Bytes of a character as JSON, at most: two escaped halves of a surrogate pair."""

VERSION = "1.10.2"
"""Version of the protocol, that of its reference implementation."""


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def pack(self) -> bytes:
        """Encode the event. Halves of surrogate pairs become question marks."""
        header: dict[str, Any] = {"type": self.type, "version": VERSION}
        data = _encode(self.data) if self.data else b""
        if data:
            header["data_length"] = len(data)
        if self.payload:
            header["payload_length"] = len(self.payload)
        return b"".join((_encode(header), b"\n", data, self.payload))


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


class EventReader:
    """Reads the events of one connection, with lines of at most ``MAX_LINE_BYTES``.

    max_text: characters of a text, which ``data`` has room for.
    """

    def __init__(self, stream: ByteStream, max_text: int) -> None:
        self._stream = stream
        self._reader = stream.reader
        self._held = 0  # bytes of the event that have come
        self._limits = {
            "data_length": BASE_DATA_BYTES + BYTES_PER_CHARACTER * max_text,
            "payload_length": MAX_PAYLOAD_BYTES,
        }

    async def read(self) -> Event | None:
        """Return the next event; None at the end of the input, even within an event.

        Raises BadMessage for an invalid event, and Busy where the server has no room for it.
        """
        first = await self._reader.read(1)
        if not first:
            return None
        self._stream.set_receiving(True)
        event = await self._read_rest(first)
        self._stream.set_receiving(False)
        return event

    async def _read_rest(self, first: bytes) -> Event | None:
        line = first if first == b"\n" else first + await self._read_line()
        if not line.endswith(b"\n"):
            return None
        header = _parse("the line", line)
        if not isinstance(kind := header.get("type"), str):
            raise BadMessage("type: has to be a string")
        sizes = {name: self._length(header, name) for name in self._limits}
        self._held = len(line)
        data = await self._receive(sizes["data_length"])
        payload = await self._receive(sizes["payload_length"])
        if data is None or payload is None:
            return None
        given = header.get("data")
        if not isinstance(given, dict | None):
            raise BadMessage("data: has to be an object")
        return Event(kind, (given or {}) | (_parse("data", data) if data else {}), payload)

    async def _receive(self, size: int) -> bytes | None:
        """Return the next ``size`` bytes, None if the input ends before. Raises Busy.

        An announced length costs a client nothing, so what has come is held, not what is still to come.
        """
        received = bytearray()
        while len(received) < size:
            piece = await self._reader.read(size - len(received))
            if not piece:
                return None
            received += piece
            self._held += len(piece)
            if not self._stream.hold(self._held):
                raise Busy("too much is being sent to this server at once: try again later")
        return bytes(received)

    async def _read_line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError as error:
            raise BadMessage(f"the line: too long (at most {MAX_LINE_BYTES} bytes)") from error

    def _length(self, header: Mapping[str, Any], name: str) -> int:
        length = header.get(name)
        if length is None:
            return 0
        if not isinstance(length, int) or isinstance(length, bool) or length < 0:
            raise BadMessage(f"{name}: has to be a whole number from 0 on")
        if length > self._limits[name]:
            raise BadMessage(f"{name}: too large (at most {self._limits[name]} bytes)")
        return length


def _parse(name: str, text: bytes) -> dict[str, Any]:
    return object_of(text, "is no JSON in UTF-8", lambda reason: BadMessage(f"{name}: {reason}"))
