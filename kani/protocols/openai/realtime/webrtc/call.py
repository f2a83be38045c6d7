"""A WebRTC call as the WebSocket of its session: text on the data channel, binary messages from the track.

No address in an offer is asked or resolved: the caller finds this side, at the one address that it called.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import aiortc
import numpy as np
from aiortc.codecs import get_capabilities
from aiortc.exceptions import InvalidStateError
from aiortc.jitterbuffer import JitterBuffer
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import SessionDescription
from starlette.types import Message

from kani.core.audio.pcm import pcm16
from kani.core.types import Samples
from kani.protocols.openai.realtime.answers.paced import Side, Track
from kani.protocols.openai.realtime.client_events import EventError
from kani.protocols.openai.realtime.connection import Connection
from kani.protocols.openai.realtime.webrtc.bounds import LIBRARY_ERRORS, CallBounds
from kani.protocols.openai.realtime.webrtc.speaker import RATE, RTP_RATE, Speaker
from kani.protocols.shared.connection import TRY_LATER, Client
from kani.protocols.shared.errors import field_error
from kani.protocols.shared.protocol import UNREAD_S

CHANNEL = "oai-events"
CONNECT_S = 30.0
"""Longest time from the answer until the data channel is open."""

MAX_LINES = 300
"""Lines of an offer, candidates not counted; browsers send some 60. aiortc's parser takes, on the event loop,
the square of their number in steps, and keeps as many objects: 128 KiB of them held it for minutes."""

MIN_MESSAGE = 1024
"""Bytes of an event that a caller has to take at least: more than an error has."""

MAX_EARLY_S = 10.0
"""Seconds by which the caller's audio may be longer than the call."""

MAX_WAITING = 4 * 2**20
"""Bytes of events and audio that wait for the session; with more the call ends."""

ROOM_FOR_CALLER = 2**20
"""Bytes of ``MAX_WAITING`` that the other clients of a call leave to the caller."""

LEAST_SIZE = 256
"""Bytes that a message counts at least: an empty one takes room too."""

MAX_BUFFERED = 2**20
"""Bytes of events that wait to be sent; then the session waits."""

MAX_JOINED = 4
"""Other clients of a call's session at once."""

MAX_UNSENT = 1000
"""Events that wait for such a client; with more it is disconnected."""

REFLECTED_S = 0.1
"""Seconds of audio in one message to such a client: shorter messages cost as much each."""

LEFT, LOST = "remote_hangup", "connection_lost"
"""Ends of a call, by its caller, and by a loss of the connection or a stop of the server."""

FLUSH_S = 1.0
"""Time for what was sent before the end."""

SILENT_S = 1.0
"""Time without a packet after which the caller is taken to be silent: muted ones may send none, and a turn
has to end."""

JITTER_PACKETS = 16

_CURE = "callers have to reach that address, which is the one that was called, see docs/openai.md#webrtc"

_GONE: Message = {"type": "websocket.disconnect", "code": 1006}


MakeSession = Callable[[Client, Track], Connection]

logger = logging.getLogger(__name__)


class Call:
    """One call. ``receive`` and ``send`` are those of an ASGI WebSocket."""

    def __init__(self, make_session: MakeSession) -> None:
        """make_session: makes the session, of the call as an accepted client."""
        self._make_session = make_session
        self._speaker = Speaker(self._reflect)
        self._host = ""
        # By default it would ask a STUN server of Google's.
        self._peer = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self._bounds: CallBounds | None = None
        self._channel: aiortc.RTCDataChannel | None = None
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        self._session: Connection | None = None
        self._joined: list[asyncio.Queue[str | None]] = []
        self._unreflected: dict[Side, Samples] = {}  # audio too short for a message
        self._reason = ""  # of the end
        self._waiting = 0
        self._flows = asyncio.Event()  # set while an event may be sent
        self._ended = False
        self._listening: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """101 once the session has accepted the call, else that of its refusal."""

    async def answer(self, offer: str, host: str) -> str:
        """Return the answer to an offer; host: address for its packets. Raises RequestError."""
        peer, self._host = self._peer, host
        peer.addTrack(self._speaker)
        (transceiver,) = peer.getTransceivers()
        codecs = get_capabilities("audio").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/opus"])
        # It would hold back four packets: 80 ms of each turn.
        transceiver.receiver._RTCRtpReceiver__jitter_buffer = JitterBuffer(JITTER_PACKETS)
        peer.on("track", self._on_track)
        peer.on("datachannel", self._on_channel)
        peer.on("connectionstatechange", self._on_state)
        try:
            offer = _checked(offer)
            await peer.setRemoteDescription(aiortc.RTCSessionDescription(offer, "offer"))
            self._bounds = CallBounds(peer, host, self.end)
            await peer.setLocalDescription()
        except LIBRARY_ERRORS as error:
            raise field_error("sdp", f"this is no offer that can be answered: {error}") from error
        return str(peer.localDescription.sdp)

    async def serve(self, client: Client) -> None:
        """Serve the session; client: this call, accepted."""
        self._session = self._make_session(client, self._speaker)
        await self._session.run()

    async def join(self, client: Client) -> None:
        """Serve another client of the session until it or the call ends.

        It gets all events from now on, and its own are handled as the caller's, in the order in which they
        come.
        """
        session = self._session
        if session is None or self._ended or len(self._joined) >= MAX_JOINED:
            await client.close(TRY_LATER, "the call cannot be joined now")
            return
        events: asyncio.Queue[str | None] = asyncio.Queue(MAX_UNSENT)

        async def put(text: str) -> None:
            events.put_nowait(text)

        async def send() -> None:
            while (text := await events.get()) is not None:
                await client.send(text)

        async def receive() -> None:
            while (message := await client.receive()) is not None:
                if not isinstance(message, str):
                    continue
                if self._waiting + len(message) > MAX_WAITING - ROOM_FOR_CALLER:
                    error = EventError("the event is too large, or too many are waiting", "event_too_large")
                    await session.make_sender(client.send).error(error)
                    continue
                self._take({"type": "websocket.receive", "text": message})

        await session.greet(session.make_sender(put))
        if not self._joined:
            self._unreflected.clear()
        self._joined.append(events)
        try:
            await client.serve(send(), receive())
        finally:
            if events in self._joined:
                self._joined.remove(events)
            await client.close()

    async def _tell_joined(self, text: str | None) -> None:
        """Pass an event on to the other clients, None for the end; one with ``MAX_UNSENT`` of them leaves."""
        for events in [*self._joined]:
            if full := events.full():
                while not events.empty():
                    events.get_nowait()
            if full or text is None:
                self._joined.remove(events)
            events.put_nowait(None if full else text)

    def _reflect(self, side: Side, samples: Samples) -> None:
        """Pass audio of the call on to the other clients that read in time.

        It is passed on if the session's dialect has events for it.
        """
        session, held = self._session, self._unreflected
        if not self._joined or session is None:
            return
        held[side] = np.concatenate([held.get(side, samples[:0]), samples])
        if len(held[side]) < REFLECTED_S * RATE:
            return
        text = session.reflected(side, held.pop(side))
        for events in self._joined:
            if text and events.qsize() < MAX_UNSENT // 2:
                events.put_nowait(text)

    async def receive(self) -> Message:
        if self._ended:
            return _GONE
        message = await self._inbox.get()
        self._waiting -= _size(message)
        return message

    async def send(self, message: Message) -> None:
        """Take an ASGI message. Raises OSError once the peer has gone, or does not take its events."""
        match message["type"]:
            case "websocket.accept":
                self._decide(101)
            case "websocket.http.response.start":
                self._decide(message["status"])
            case "websocket.send":
                await self._send_event(message["text"])
            case "websocket.close":
                self._decide(403)
                await self.close()

    def _decide(self, status: int) -> None:
        if not self.status.done():
            self.status.set_result(status)

    async def _send_event(self, text: str) -> None:
        await self._tell_joined(text)
        try:
            async with asyncio.timeout(CONNECT_S if self._channel is None else UNREAD_S):
                await self._flows.wait()
        except TimeoutError:
            if self._channel is None:
                logger.warning("no packet of a call came to %s within %g s: %s", self._host, CONNECT_S, _CURE)
            raise
        if self._ended or self._channel is None or self._session is None:
            raise ConnectionError("the call has ended")
        try:
            self._channel.send(text)
        except InvalidStateError as error:
            raise ConnectionError("the call has ended") from error
        except ValueError as error:
            missing = EventError(f"an event is missing here: {error}", "event_too_large")
            await self._session.make_sender(self._put).error(missing)
        if self._channel.bufferedAmount > MAX_BUFFERED:
            self._flows.clear()

    async def _put(self, text: str) -> None:
        assert self._channel is not None
        self._channel.send(text)

    async def close(self) -> None:
        """End the call, and release all that it holds.

        Once begun it goes on where a caller is cancelled: a cancelled ``close`` of aiortc ends no peer.
        """
        self._closing = self._closing or asyncio.create_task(self._close(), name="call end")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        channel, session = self._channel, self._session
        try:
            if session is not None:
                await session.take_leave(session.make_sender(self._tell_all), self._reason or LOST)
            if channel is not None and channel.bufferedAmount and self._peer.connectionState == "connected":
                channel.bufferedAmountLowThreshold = 0
                self._flows.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_S):
                        await self._flows.wait()
        finally:
            self.end()
            await self._tell_joined(None)
            self._speaker.stop()
            await (self._bounds or self._peer).close()
            if self._listening is not None:
                self._listening.cancel()
                await asyncio.wait([self._listening])

    async def _tell_all(self, text: str) -> None:
        await self._tell_joined(text)
        # aiortc raises ValueError for more than the caller's max-message-size.
        with suppress(InvalidStateError, ValueError):
            if self._channel is not None:
                await self._put(text)

    def end(self, reason: str = LOST) -> None:
        """End the session; reason: in the words of the Live API, of several the first counts."""
        self._reason = self._reason or reason
        self._decide(503)
        self._flows.set()
        if not self._ended:
            self._ended = True
            self._inbox.put_nowait(_GONE)

    def _on_state(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self.end(LEFT if self._peer.connectionState == "closed" else LOST)

    def _on_channel(self, channel: aiortc.RTCDataChannel) -> None:
        if channel.label != CHANNEL or self._channel is not None:
            return
        self._channel = channel
        channel.bufferedAmountLowThreshold = MAX_BUFFERED
        channel.on("bufferedamountlow", self._flows.set)
        channel.on("close", partial(self.end, LEFT))
        channel.on("message", self._on_message)
        self._flows.set()

    def _on_message(self, message: str | bytes) -> None:
        # Binary messages are audio, which comes on the track.
        text = message if isinstance(message, str) else ""
        self._take({"type": "websocket.receive", "text": text})

    def _on_track(self, track: aiortc.MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._listen(track), name="call input")

    async def _listen(self, track: aiortc.MediaStreamTrack) -> None:
        silence = pcm16(np.zeros(round(SILENT_S * RTP_RATE), np.float32))
        heard_s, began_at = 0.0, time.monotonic()
        with suppress(MediaStreamError):
            while True:
                try:
                    async with asyncio.timeout(SILENT_S if self._channel is not None else None):
                        frame = await track.recv()
                except TimeoutError:
                    self._take({"type": "websocket.receive", "bytes": silence})
                    continue
                heard_s += frame.samples / RTP_RATE
                if heard_s - (time.monotonic() - began_at) > MAX_EARLY_S and self._bounds is not None:
                    self._bounds.end("its audio comes faster than it is heard")
                    return
                channels = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
                self._take({"type": "websocket.receive", "bytes": channels[:, 0].tobytes()})

    def _take(self, message: Message) -> None:
        self._waiting += _size(message)
        if self._waiting > MAX_WAITING:
            self.end()
        if not self._ended:
            self._inbox.put_nowait(message)


def _checked(offer: str) -> str:
    """Return an offer without its candidates. Raises an error of ``LIBRARY_ERRORS`` for one of no call."""
    left_out = ("a=candidate", "a=end-of-candidates")
    lines = [line for line in offer.splitlines() if not line.startswith(left_out)]
    offer = "".join(f"{line}\r\n" for line in lines)
    if len(lines) > MAX_LINES:
        raise ValueError(f"it has too many lines (at most {MAX_LINES})")
    description = SessionDescription.parse(offer)
    media = description.media
    if sorted(each.kind for each in media) != ["application", "audio"]:
        raise ValueError("there must be one audio track, one data channel, and nothing else")
    bundles = [{*group.items} for group in description.group if group.semantic == "BUNDLE"]
    if len(mids := {each.rtp.muxId for each in media}) < 2 or bundles != [mids]:
        raise ValueError("audio and data channel must be in one BUNDLE")
    for each in media:
        if each.dtls is None or not each.dtls.fingerprints:
            raise ValueError("a DTLS fingerprint, or its setup, is missing")
        if any(extension.id > 255 for extension in each.rtp.headerExtensions):
            raise ValueError("the number of an extmap has to be 255 at most")
        if each.sctpCapabilities and (each.sctpCapabilities.maxMessageSize or MIN_MESSAGE) < MIN_MESSAGE:
            raise ValueError(f"max-message-size has to be {MIN_MESSAGE} at least")
    return offer


def _size(message: Message) -> int:
    return max(LEAST_SIZE, len(message.get("text") or message.get("bytes") or b""))
