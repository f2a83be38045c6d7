"""One connection between a server and an engine worker: frames, limits and signs of life.

A frame is its length, as four bytes (big-endian), and a message; with a key a tag follows the message, once
the handshake is complete.
"""

import asyncio
import hmac
from collections.abc import Callable
from typing import cast

from kani.engines.remote.messages import FromWorker, ToWorker, encode

TAG_BYTES = 16


class Tags:
    """The tags of one direction of a connection, in the order of its messages: the peer's are recognised.

    A tag is HMAC-SHA256 (RFC 2104) over the number of messages before and the message, cut to 16 bytes. Each
    direction has a key of its own, made of both nonces, so a message of another connection or of the other
    direction, a repeated, dropped or moved one has a wrong tag.
    """

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")
        self._messages = 0

    def next(self, message: bytes | memoryview) -> bytes:
        digest = self._keyed.copy()
        digest.update(self._messages.to_bytes(8, "big"))
        digest.update(message)
        self._messages += 1
        return digest.digest()[:TAG_BYTES]

    def accepts(self, message: memoryview, tag: memoryview) -> bool:
        return hmac.compare_digest(self.next(message), tag)


LENGTH_BYTES = 4
MAX_FRAME_BYTES = 32 << 20
"""Longest message: a recording of 60 s at 96 kHz has 23 MiB."""

HANDSHAKE_FRAMES, MAX_HANDSHAKE_BYTES = 2, 1024
"""Frames of each side's handshake, and the longest of them."""

HANDSHAKE_BUFFER_BYTES, BUFFER_BYTES = LENGTH_BYTES + MAX_HANDSHAKE_BYTES, 256 << 10
"""Bytes that are received into, during the handshake and after it; more only while a longer message comes."""

MAX_UNSENT_BYTES = 256 << 20
"""Bytes for a peer that does not read: the grants bound a connection long before, unless they are abused."""

PEER_ENDED = "the connection has ended"

SECOND_S = 1.0
HEARTBEAT_S = 2
LEASE_S = 15
"""Silent seconds after which a peer counts as dead. Seconds while this process did not run count once."""


class ProtocolError(Exception):
    """The peer does not keep to the protocol; the message names what is wrong."""


class Channel(asyncio.BufferedProtocol):
    """Sends and receives the frames of one connection; every callback runs in the event loop."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(HANDSHAKE_BUFFER_BYTES)
        self._start = self._end = 0
        self._sent_tags: Tags | None = None
        self._received_tags: Tags | None = None
        self._receive: Callable[[memoryview], None] | None = None
        self._frames: list[bytes] = []
        self._arrived = asyncio.Event()
        self._silent = 0
        self._timer: asyncio.TimerHandle | None = None
        self._small_frames = HANDSHAKE_FRAMES
        self._ended: Callable[[], None] | None = None
        self.lost = asyncio.Event()  # set once the connection has ended
        self.reason = PEER_ENDED  # cause of the end
        self.hung = False  # True if it was ended because of the peer's silence

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._receive = None
        self.lost.set()
        self._arrived.set()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        self._silent = 0
        self._end += nbytes
        try:
            self._make_room(self._take_frames())
        except ProtocolError as error:
            self.abort(str(error))

    def _make_room(self, needed: int) -> None:
        """Make room for ``needed`` bytes of the next frame, what has come of it included."""
        usual = HANDSHAKE_BUFFER_BYTES if self._small_frames else BUFFER_BYTES
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) != usual:
                self._buffer = bytearray(usual)
        if self._start + needed > len(self._buffer):
            begun = self._buffer[self._start : self._end]
            if needed > len(self._buffer):
                self._buffer = bytearray(max(needed, usual))
            self._buffer[: len(begun)] = begun
            self._start, self._end = 0, len(begun)

    def _take_frames(self) -> int:
        """Take all whole frames out of the buffer; return the bytes of the next one, as far as known."""
        while (known := self._end - self._start) >= LENGTH_BYTES:
            first = self._start + LENGTH_BYTES
            length = int.from_bytes(self._buffer[self._start : first], "big")
            longest = MAX_HANDSHAKE_BYTES if self._small_frames else MAX_FRAME_BYTES
            if length > longest:
                raise ProtocolError(f"a message of {length} bytes (at most {longest})")
            if known < LENGTH_BYTES + length:
                return LENGTH_BYTES + length
            self._start = first + length
            self._small_frames = max(0, self._small_frames - 1)
            self._accept(memoryview(self._buffer)[first : self._start])
        return LENGTH_BYTES

    def authenticate(self, sent: Tags, received: Tags) -> None:
        """Give every further message a tag, and demand one of each that was not read yet."""
        self._sent_tags, self._received_tags = sent, received

    def _message(self, frame: memoryview) -> memoryview:
        """Return the message of a frame. Raises ProtocolError where its tag is wrong."""
        if self._received_tags is None:
            return frame
        message, tag = frame[:-TAG_BYTES], frame[-TAG_BYTES:]
        if not self._received_tags.accepts(message, tag):
            raise ProtocolError(
                "a message that the peer has not sent in this place: something between the two has changed it"
            )
        return message

    def _accept(self, frame: memoryview) -> None:
        if self._receive is not None:
            self._receive(self._message(frame))
        elif not self.lost.is_set():
            if len(self._frames) >= 16:
                raise ProtocolError("many messages at once where an answer is due")
            self._frames.append(bytes(frame))
            self._arrived.set()

    async def read(self) -> bytes:
        """Return the next message, before ``receive``. Raises ProtocolError, also once the connection has
        ended.
        """
        while not self._frames:
            if self.lost.is_set():
                raise ProtocolError(self.reason)
            self._arrived.clear()
            await self._arrived.wait()
        return bytes(self._message(memoryview(self._frames.pop(0))))

    def receive(self, receive: Callable[[memoryview], None]) -> None:
        """Call ``receive`` with every message from now on; it may raise ProtocolError.

        A message is valid during the call: its bytes are overwritten then.
        """
        self._receive = receive
        frames, self._frames = self._frames, []
        try:
            for frame in frames:
                receive(self._message(memoryview(frame)))
        except ProtocolError as error:
            self.abort(str(error))

    def when_lost(self, ended: Callable[[], None]) -> None:
        """Call ``ended`` when the connection ends, or now if it has ended."""
        if self.lost.is_set():
            ended()
        else:
            self._ended = ended

    def watch(self, beat: Callable[[], None] = lambda: None, lease_s: int | None = None) -> None:
        """Call ``beat`` every ``HEARTBEAT_S``, and end a connection that is silent for ``lease_s``.

        lease_s: ``LEASE_S`` if None. Replaces an earlier watch.
        """
        loop = asyncio.get_running_loop()
        lease_s = LEASE_S if lease_s is None else lease_s
        seconds = self._silent = 0

        def tick() -> None:
            nonlocal seconds
            seconds += 1
            self._silent += 1
            if self._silent > lease_s:
                self.hung = True
                self.abort(f"no sign of life for {lease_s} s")
                return
            if seconds % HEARTBEAT_S == 0:
                beat()
            self._timer = loop.call_later(SECOND_S, tick)

        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(SECOND_S, tick)

    def send(self, message: ToWorker | FromWorker) -> None:
        """Send a message; dropped once the connection has ended. Raises ProtocolError if it is too long."""
        if self._transport is None or self.lost.is_set():
            return
        packed = encode(message)
        longest = MAX_FRAME_BYTES - TAG_BYTES
        if len(packed) > longest:
            raise ProtocolError(f"a message of {len(packed)} bytes (at most {longest})")
        self.send_packed(packed)
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.abort(f"the peer has not read {MAX_UNSENT_BYTES >> 20} MiB")

    def send_packed(self, message: bytes) -> None:
        if self._transport is not None:
            tag = b"" if self._sent_tags is None else self._sent_tags.next(message)
            length = (len(message) + len(tag)).to_bytes(LENGTH_BYTES, "big")
            # Pieces: joining them would copy the audio once more.
            self._transport.writelines((length, message, tag))

    def abort(self, reason: str) -> None:
        """End the connection at once, unsent messages included."""
        if not self.lost.is_set() and self._transport is not None:
            self.reason = reason
            self._receive = None
            self._transport.abort()

    def close(self, reason: str) -> None:
        """End the connection once everything is sent."""
        if not self.lost.is_set() and self._transport is not None:
            self.reason = reason
            self._receive = None
            self._transport.close()
