"""Unmute's web page and load test, as a server sees them: health, voices, a conversation in Ogg Opus.

Like the load test it refuses any event that it does not know, and takes the times of each answer.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from kani.core.audio.ogg_opus import ENCODED_RATE, OggOpusDecoder, OggOpusEncoder
from kani.core.types import Samples
from tests.support.patience import WITHIN_S

RATE = ENCODED_RATE
FRAME = 480  # samples: 20 ms
PAGE = "http://localhost:3000"
"""Origin of the page where it is developed."""

SMALLTALK = {"type": "smalltalk", "language": "en/fr"}

Turn = dict[Literal["role", "content"], str]


class _Event(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True):
    event_id: str


def _event(kind: str, **fields: Any) -> type[_Event]:
    return msgspec.defstruct(kind, [*fields.items()], bases=(_Event,), tag=kind)


def _object(name: str, **fields: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct(name, [*fields.items()], forbid_unknown_fields=True)


_RESPONSE = _object(
    "Response",
    object=Literal["realtime.response"],
    status=Literal["in_progress"],
    voice=str,
    chat_history=list[Turn],
)
_OUTPUTS = _object("Outputs", chat_history=list[Turn], debug_dict=dict[str, Any], debug_plot_data=list[Any])
Failed = _event("error", error=dict[str, Any])
Updated = _event("session.updated", session=dict[str, Any])
Created = _event("response.created", response=_RESPONSE)
TextReady = _event("unmute.response.text.delta.ready", delta=str)
Text = _event("response.text.delta", delta=str)
TextDone = _event("response.text.done", text=str)
Audio = _event("response.audio.delta", delta=str)
AudioDone = _event("response.audio.done")
Heard = _event("conversation.item.input_audio_transcription.delta", delta=str, start_time=float)
SpeechStarted = _event("input_audio_buffer.speech_started")
SpeechStopped = _event("input_audio_buffer.speech_stopped")
Interrupted = _event("unmute.interrupted_by_vad")
Additional = _event("unmute.additional_outputs", args=_OUTPUTS)

_Answer = Created | TextReady | Text | TextDone | Audio | AudioDone | Interrupted
_Other = Failed | Updated | Heard | SpeechStarted | SpeechStopped | Additional
_read = msgspec.json.Decoder(_Answer | _Other).decode


@dataclass
class Times:
    """Times of one answer, in seconds of a clock; each is of the first event of its kind."""

    created: float = 0.0
    text: float = 0.0
    audio: float = 0.0
    done: float = 0.0
    audio_s: float = 0.0  # length of what was received


@dataclass
class Caller:
    """One connection; ``samples`` is all audio so far, ``history`` the last that the server has told."""

    websocket: ClientConnection
    seen: list[_Event] = field(default_factory=list)
    history: list[Turn] = field(default_factory=list)
    answers: list[Times] = field(default_factory=list)
    samples: list[Samples] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._encoder = OggOpusEncoder()
        self._header = self._encoder.header
        self._decoder = OggOpusDecoder()
        self._times = Times()

    async def send(self, kind: str, **fields: Any) -> None:
        await self.websocket.send(json.dumps({"type": kind, **fields}))

    async def configure(self, voice: str | None = None, instructions: Any = SMALLTALK) -> Updated:
        session = {"instructions": instructions, "voice": voice, "allow_recording": False}
        await self.send("session.update", session=session)
        return await self.until(Updated)

    async def append(self, pages: bytes) -> None:
        if pages:
            await self.send("input_audio_buffer.append", audio=base64.b64encode(pages).decode())

    async def speak(self, *pieces: Samples) -> None:
        """Send samples at ``RATE`` hertz, as fast as they are taken."""
        samples = np.concatenate(pieces)
        for at in range(0, len(samples), FRAME):
            header, self._header = self._header, b""
            await self.append(header + self._encoder.feed(samples[at : at + FRAME]))

    async def receive(self) -> _Event:
        event = _read(await asyncio.wait_for(self.websocket.recv(decode=True), WITHIN_S))
        self.seen.append(event)
        self._note(event, time.monotonic())
        return event

    def _note(self, event: _Event, now: float) -> None:
        """Take the times as the load test does, which fails where a stage comes before the one before it."""
        times = self._times
        match event:
            case Created():
                times.created = times.created or now
            case TextReady():
                assert times.created
                times.text = times.text or now
            case Audio():
                assert times.text
                times.audio = times.audio or now
                heard = self._decoder.feed(base64.b64decode(event.delta, validate=True))
                self.samples.append(heard)
                times.audio_s += len(heard) / RATE
            case AudioDone():
                assert times.audio
                times.done = now
                self.answers.append(times)
                self._times = Times()
            case Interrupted():
                self._times = Times()
            case Additional():
                self.history = event.args.chat_history

    async def until(self, kind: type[_Event]) -> Any:
        """Receive up to an event of that type; returns it."""
        while True:
            if isinstance(event := await self.receive(), kind):
                return event

    def of(self, kind: type[_Event]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]


async def health(http_url: str) -> Any:
    return await _get(f"{http_url}/v1/health")


async def voices(http_url: str) -> Any:
    return await _get(f"{http_url}/v1/voices")


async def _get(url: str) -> Any:
    async with httpx2.AsyncClient(headers={"origin": PAGE}) as http:
        answer = await http.get(url)
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] in (PAGE, "*")
    return answer.json()


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Caller]:
    """Connect as the page does: no key, and the sub-protocol has to be accepted."""
    url = f"ws://localhost:{port}/v1/realtime"
    options = {"origin": Origin(PAGE), "subprotocols": [Subprotocol("realtime")]}
    async with connect(url, max_size=None, **options) as websocket:  # type: ignore[arg-type]
        assert websocket.subprotocol == "realtime"
        yield Caller(websocket)
