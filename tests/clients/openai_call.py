"""A call of Realtime or Live by WebRTC, by aiortc: a microphone that is always on, and an ear."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from typing import Any

import aioice.ice
import httpx2
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.jitterbuffer import JitterBuffer
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet
from av.audio.codeccontext import AudioCodecContext

from kani.core.types import Samples
from tests.clients.openai_realtime import RATE, Client, Event
from tests.support.patience import WITHIN_S
from tests.support.servers.address import Addressed, figure

TRACK_RATE = 48_000
FRAME_S = 0.02
FRAME = round(FRAME_S * RATE)
LOUD = 0.05

# It leaves loopback out, which a machine may have alone.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Microphone(MediaStreamTrack):
    """Sends what is said at its pace, and silence."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.begun_at = self.said_at = 0.0
        """Times at which the first and the last of what was said last were sent."""
        self._encoder: Any = AudioCodecContext.create("libopus", "w")
        self._encoder.sample_rate, self._encoder.layout, self._encoder.format = RATE, "mono", "flt"
        self._waiting = np.zeros(0, np.float32)
        self._pausing = True
        self._sent = 0
        self._begun = 0.0

    def say(self, *pieces: Samples) -> None:
        self._waiting = np.concatenate([self._waiting, *pieces])

    @property
    def is_silent(self) -> bool:
        return self._pausing and not len(self._waiting)

    async def recv(self) -> Packet:
        self._begun = self._begun or time.perf_counter()
        await asyncio.sleep(self._begun + self._sent * FRAME_S - time.perf_counter())
        piece, self._waiting = self._waiting[:FRAME], self._waiting[FRAME:]
        if len(piece):
            self.said_at = time.perf_counter()
            self.begun_at = self.said_at if self._pausing else self.begun_at
        self._pausing = not len(piece)
        given = np.pad(piece, (0, FRAME - len(piece))).astype(np.float32)
        frame = AudioFrame.from_ndarray(given[None], "flt", "mono")
        frame.sample_rate = RATE
        (packet,) = self._encoder.encode(frame)
        packet.time_base, packet.pts = Fraction(1, TRACK_RATE), round(self._sent * FRAME_S * TRACK_RATE)
        self._sent += 1
        return packet


class Caller(Client):
    """One call. ``heard``: each frame of the answers with the time at which it came, at ``TRACK_RATE``."""

    def __init__(self) -> None:
        self.seen = []
        self.microphone = Microphone()
        self.heard: list[tuple[float, Samples]] = []
        self.location = ""
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.peer.createDataChannel("oai-events")
        self.events: asyncio.Queue[str | None] = asyncio.Queue()
        self.open = asyncio.Event()
        self.sender = self.peer.addTrack(self.microphone)
        # What a browser holds back is not the server's.
        self.peer.getReceivers()[0]._RTCRtpReceiver__jitter_buffer = JitterBuffer(16)
        self._tasks: list[asyncio.Task[None]] = []
        self.channel.on("message", self.events.put_nowait)
        self.channel.on("open", self.open.set)
        self.channel.on("close", lambda: self.events.put_nowait(None))
        self.peer.on("track", lambda track: self._tasks.append(asyncio.create_task(self._listen(track))))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.take(frame.to_ndarray().reshape(-1, 2)[:, 0] / np.float32(32768))

    def take(self, frame: Samples) -> None:
        self.heard.append((time.perf_counter(), frame))

    def loud_at(self, since: float = 0.0) -> list[float]:
        """Times of the loud frames that came after ``since``."""
        return [at for at, frame in self.heard if at > since and np.abs(frame).max() > LOUD]

    async def offer(self) -> str:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def connect(self, answer: str) -> None:
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.wait_for(self.open.wait(), WITHIN_S)

    async def send(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> Event:
        text = await asyncio.wait_for(self.events.get(), WITHIN_S)
        assert text is not None, "the call has ended"
        event: Event = json.loads(text)
        self.seen.append(event)
        return event

    async def ended(self) -> Sequence[Event]:
        """Receive until the call has ended; returns the events until then."""
        while (text := await asyncio.wait_for(self.events.get(), WITHIN_S)) is not None:
            self.seen.append(json.loads(text))
        return self.seen

    async def close(self) -> None:
        await self.peer.close()
        await asyncio.gather(*self._tasks)


CALLS = "/v1/realtime/calls"
SDP = {"Content-Type": "application/sdp"}


async def post_offer(server: Addressed, offer: str, query: str = "", **headers: str) -> httpx2.Response:
    return await server.post(f"{CALLS}{query}", content=offer, headers=SDP | headers)


@asynccontextmanager
async def calling(server: Addressed, query: str = "", **headers: str) -> AsyncIterator[Caller]:
    """Call, and yield the caller once its session is there."""
    caller = Caller()
    try:
        answer = await post_offer(server, await caller.offer(), query, **headers)
        assert answer.status_code == 201, answer.text
        caller.location = answer.headers["location"]
        await caller.connect(answer.text)
        await caller.until("session.created")
        yield caller
    finally:
        await caller.close()


LIVE = "/v1/live/sessions"


@asynccontextmanager
async def live_calling(server: Addressed, path: str = LIVE, **session: Any) -> AsyncIterator[Caller]:
    """Open a Live session, and yield the caller once it has started; ``location`` is the session's id."""
    caller = Caller()
    try:
        transport = {"type": "webrtc", "sdp": await caller.offer()}
        given = {"session": {"model": "gpt-live-1", **session}, "transport": transport}
        answer = await server.post(path, json=given)
        assert answer.status_code == 201, answer.text
        opened = answer.json()
        caller.location = opened["session"]["id"]
        await caller.connect(opened["transport"]["sdp"])
        await caller.until("session.started")
        yield caller
    finally:
        await caller.close()


async def all_free(server: Addressed, **headers: str) -> None:
    """Return once the server has no session, no recognition and no connection."""
    names = ("kani_sessions", "kani_recognition_sessions", "kani_connections")
    open_ones = True
    async with asyncio.timeout(WITHIN_S):
        while open_ones:
            told = (await server.get("/metrics", headers=headers)).text
            open_ones = any(figure(told, name) for name in names)
