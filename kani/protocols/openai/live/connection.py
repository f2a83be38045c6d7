"""One connection of WS /v1/live/sessions, once it has started."""

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import numpy as np
from typing_extensions import override

from kani.core.audio.encoding import create_encoder
from kani.core.audio.pcm import pcm16
from kani.core.conversation.items import FunctionOutput, Message, Part, new_id
from kani.core.conversation.paced import PacedAudio
from kani.core.service import SpeechService
from kani.core.types import Samples
from kani.protocols.openai.live.events import LiveEvents, LiveSender
from kani.protocols.openai.live.output import LiveOutput, Word, Work
from kani.protocols.openai.live.session import LiveSession
from kani.protocols.openai.realtime.answers.paced import Side, Track
from kani.protocols.openai.realtime.client_events import (
    ClientEvent,
    EventError,
    faulty,
    read_audio,
    unknown_event,
)
from kani.protocols.openai.realtime.connection import Connection, Dialect
from kani.protocols.openai.realtime.conversation import read_item
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.shared.calls.bodies import json_text, unknown_fields
from kani.protocols.shared.connection import NORMAL, Client
from kani.protocols.shared.conversation import ConnectionLimits

MAX_APPENDED = 2**16
"""Characters of the content of an append event."""

MAX_UNSERVED = 100
"""Fields of events that a session names as not served, each once."""

USAGE_S = 15.0
"""Seconds between reports of the usage."""

CLIENT_EVENTS = (
    *("session.start", "session.update", "session.close", "session.input_audio.append"),
    *("session.input_audio.mute", "session.input_audio.unmute", "session.instructions.append"),
    *("session.thinking.append", "session.commentary.append", "response.item.create", "response.create"),
)
_FIELDS = {"type", "event_id", "session", "audio", "content", "delegation_id", "item"}  # of them
UNSUPPORTED = ("session.output_audio.fixture.play", "decision.")
"""Prefixes of client events of the API that are not served."""


class LiveConnection(Connection):
    """A client of the Live API: an endless stream of audio each way, and no turns between them."""

    _sender: LiveSender

    def __init__(
        self,
        client: Client,
        service: SpeechService,
        session: LiveSession,
        limits: ConnectionLimits,
        start: ClientEvent,
        track: Track | None = None,
    ) -> None:
        """start: the event that started the session; track: of a call, which has its audio there."""
        config = session.config
        self._session, self._start_event = session, replace(start, fields={})
        self._paced = paced = track or PacedAudio(config.output_format.sample_rate)
        self._words = asyncio.Queue[Word]()  # to be sent before the next frame
        self._work = Work(session.delegation, lambda: self._turns.ask())
        self._muted = False
        self._unserved = set[str]()  # fields of events that the client was told of
        make_output = partial(LiveOutput, paced, self._work, self._words.put_nowait, self._start)
        dialect = Dialect(LiveSender, partial(LiveEvents, paced), make_output, paced.clear)
        super().__init__(client, service, config, limits, dialect, track)
        for message in session.history:
            self._conversation.append(message)
        session.history.clear()
        self._expires_at = int(time.time() + limits.session_s)

    @override
    def _release(self) -> None:
        self._paced.forget()
        super()._release()

    @override
    async def _greet(self) -> None:
        await self._acknowledge("session.started", self._start_event, session=self._as_json())
        await self._tell_notices(self._start_event)
        self._start(self._speak() if self._track is None else self._say())
        self._start(self._report())

    @override
    async def greet(self, sender: EventSender) -> None:
        await sender.send("session.started", session=self._as_json())

    @override
    async def take_leave(self, sender: EventSender, reason: str) -> None:
        if not self._sender.ended:
            self._sender.ended = True
            await sender.send("session.closed", **self._ending(reason))

    @override
    def reflected(self, side: Side, samples: Samples) -> str:
        if self._sender.ended:
            return ""
        audio = pcm16(samples)
        if side == "input":
            return json_text({"type": "session.input_audio.append", "audio": audio})
        end_s = self._paced.position_s
        start_s = end_s - len(samples) / self._paced.sample_rate
        times = {"start_ms": round(1000 * start_s), "end_ms": round(1000 * end_s)}
        return json_text({"type": "session.output_audio.delta", "delta": audio, **times})

    def _as_json(self) -> dict[str, object]:
        return self._session.as_json(self._expires_at)

    async def _acknowledge(self, name: str, event: ClientEvent, **fields: object) -> None:
        own = {} if event.event_id is None else {"client_event_id": event.event_id}
        await self._sender.send(name, **own, **fields)

    async def _tell_notices(self, event: ClientEvent) -> None:
        """Tell what is not served as it was asked for. An error before the start would end some clients."""
        for notice in self._session.notices:
            await self._acknowledge("info", event, code=notice.code, message=str(notice))
        self._session.notices.clear()

    async def _speak(self) -> None:
        """Send the output as it is due, each word before the frame in which it begins."""
        output_format = self._config.output_format
        encoder = create_encoder(output_format, output_format.sample_rate)
        async with aclosing(self._paced.frames()) as frames:
            async for frame in frames:
                while not self._words.empty():
                    await self._sender.transcript("output", *self._words.get_nowait())
                await self._sender.audio(encoder.feed(frame))

    async def _say(self) -> None:
        """Send the words of a call, which has its audio on the track."""
        while True:
            await self._sender.transcript("output", *await self._words.get())

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(USAGE_S)
            await self._sender.send("session.usage.updated", usage=self._usage)

    @override
    async def _hear(self, samples: Samples) -> None:
        await super()._hear(np.zeros_like(samples) if self._muted else samples)

    @property
    def _usage(self) -> dict[str, float]:
        return {"seconds": round(self._paced.position_s, 3)}

    @override
    async def _handle(self, event: ClientEvent) -> None:
        match event.type:
            case "session.input_audio.append":
                await self._hear(await read_audio(event.audio(), self._config.input_format))
            case "session.input_audio.mute" | "session.input_audio.unmute":
                self._muted = event.type == "session.input_audio.mute"
                await self._acknowledge(f"{event.type}d", event)
            case "session.update":
                self._session.update(event.object("session"))
                self._config = self._session.config
                await self._acknowledge("session.updated", event, session=self._as_json())
            case "session.instructions.append" | "session.thinking.append" | "session.commentary.append":
                await self._append(event)
            case "response.item.create" | "response.create" if self._session.delegation != "responses":
                reason = f"{event.type} requires Responses delegation."
                raise EventError(reason, "invalid_state", "type")
            case "response.item.create":
                self._take_result(event)
            case "response.create":
                self._go_on()
            case "session.close":
                await self._close("close_requested")
            case _:
                raise _unserved(event)
        given = sorted(name for name, value in event.fields.items() if value)
        for name in unknown_fields(given, _FIELDS | self._unserved)[: MAX_UNSERVED - len(self._unserved)]:
            self._unserved.add(name)
            self._session.notices.append(EventError(f"{name}: is not served", "unsupported"))
        await self._tell_notices(event)

    async def _append(self, event: ClientEvent) -> None:
        kind, content = event.type.split(".")[1], event.text("content", MAX_APPENDED)
        delegation = event.text("delegation_id")
        if not content:
            raise faulty("content", "is required", "missing_required_parameter")
        if kind == "instructions":
            self._session.tell(content)
            self._config = self._session.config
        else:
            self._conversation.insert(Message(new_id("item"), "system", (Part("text", content),)), None)
        now_ms = round(1000 * self._paced.position_s)
        await self._acknowledge(f"session.{kind}.appended", event, start_ms=now_ms, end_ms=now_ms)
        if delegation is not None and delegation not in self._work.begun:
            unknown = "no delegation has this id, the content counts all the same"
            self._session.notices.append(faulty("delegation_id", unknown))
        if kind == "commentary":
            self._turns.ask()

    def _take_result(self, event: ClientEvent) -> None:
        item = read_item(event.fields.get("item"), "item", answers=True)
        if not isinstance(item, FunctionOutput):
            raise faulty("item.type", "must be function_call_output")
        delegation = self._work.open.get(item.call_id)
        if delegation is None:
            raise faulty("item.call_id", "no open call has this id")
        self._conversation.insert(item, None)
        del self._work.open[item.call_id]
        self._work.due = delegation

    def _go_on(self) -> None:
        if self._work.due is None:
            raise EventError("response.create: no call has a new result", "invalid_state", "type")
        if self._work.due in self._work.open.values():
            raise EventError("response.create: a call has no result yet", "invalid_state", "type")
        self._turns.ask()

    @override
    async def _expire(self, *, idle: bool) -> None:
        await self._close("expired")

    async def _close(self, reason: str) -> None:
        await self._sender.send("session.closed", **self._ending(reason))
        await self._client.close(NORMAL, reason)

    def _ending(self, reason: str) -> dict[str, object]:
        return {"reason": reason, "session": self._as_json(), "usage": self._usage}


def _unserved(event: ClientEvent) -> EventError:
    if event.type == "session.start":
        return faulty("type", "the session has started", "invalid_state")
    if event.type.startswith(UNSUPPORTED):
        return faulty("type", f"{event.type[:100]} is not served", "unsupported")
    return unknown_event(event, CLIENT_EVENTS, "unknown_event")
