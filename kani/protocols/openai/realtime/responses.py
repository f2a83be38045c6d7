"""Responses: given text read aloud, with its audio and its transcript as they are made."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from kani.core.audio.encoding import create_encoder
from kani.core.audio.resampling import reframe
from kani.core.errors import SpeechCancelled, SpeechError
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.types import SpeechChunk, SpeechRequest
from kani.protocols.openai.errors import api_error
from kani.protocols.openai.realtime.client_events import (
    EventError,
    convert,
    unsupported,
)
from kani.protocols.openai.realtime.conversation import Conversation, Item, Status, read_item
from kani.protocols.openai.realtime.server_events import EventSender, new_id
from kani.protocols.openai.realtime.session_config import SessionConfig
from kani.protocols.openai.realtime.session_update import (
    AudioOutput,
    Modalities,
    refuse_model_requests,
    updated_config,
    with_output,
)
from kani.protocols.openai.voice_names import resolve_voice

PROTOCOL = "openai-realtime"

MAX_RESPONSES = 4
"""Responses at once on one connection, at most one of them in the conversation."""

MAX_INPUT_ITEMS = 256
MAX_DELTA_S = 0.25
"""Longest audio of an event."""

_NO_USAGE = {
    "total_tokens": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 0, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 0, "audio_tokens": 0},
}


class _Audio(Struct):
    output: AudioOutput | UnsetType | None = UNSET


_MetadataText = Annotated[str, Meta(max_length=512)]


class _Response(Struct):
    """Fields of ``response.create``; ``modalities`` is the beta's. Others are ignored."""

    conversation: str = "auto"
    input: Annotated[list[Any], Meta(max_length=MAX_INPUT_ITEMS)] | None = None
    metadata: Annotated[dict[_MetadataText, _MetadataText], Meta(max_length=16)] | None = None
    output_modalities: Modalities | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    audio: _Audio | None = None
    modalities: Modalities | None = None


@dataclass(eq=False)
class Response:
    """A response that is being spoken."""

    id: str
    item: Item
    config: SessionConfig
    metadata: Mapping[str, str] | None
    conversation_id: str | None  # None outside the conversation
    text: str
    session: SpeechSession
    cancel_reason: str | None = None
    transcript: list[str] = field(default_factory=list)  # spoken so far

    @property
    def position(self) -> dict[str, Any]:
        """Fields that say where its item is."""
        return {"response_id": self.id, "output_index": 0}

    @property
    def place(self) -> dict[str, Any]:
        """Fields that say where its part of the item is."""
        return {**self.position, "item_id": self.item.id, "content_index": 0}

    def cancel(self, reason: str) -> None:
        """Stop at once."""
        self.cancel_reason = self.cancel_reason or reason
        self.session.cancel()

    def check(self) -> None:
        """Raise SpeechCancelled once it was cancelled."""
        if self.cancel_reason is not None:
            raise SpeechCancelled

    def as_json(self, status: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the object of the wire; it holds the item once the response has ended."""
        config = self.config
        ended = status != "in_progress"
        output_format = {"type": config.output_format.name}
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [self.item.as_json()] if ended else [],
            "conversation_id": self.conversation_id,
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "metadata": self.metadata,
            "audio": {"output": {"format": output_format, "voice": config.voice}},
            "usage": _NO_USAGE if ended else None,
        }


class Responses:
    """The responses of one connection."""

    def __init__(
        self,
        service: SpeechService,
        sender: EventSender,
        conversation: Conversation,
        client: str,
        languages: tuple[str, ...],
    ) -> None:
        """client: address that the rate limit counts for; languages: that the client prefers, BCP 47."""
        self._service = service
        self._sender = sender
        self._conversation = conversation
        self._client = client
        self._languages = languages
        self._memory = LanguageMemory()
        self._active: dict[str, Response] = {}

    def interrupt(self) -> None:
        """Cancel the response in the conversation, because the user speaks."""
        for response in self._active.values():
            if response.conversation_id is not None:
                response.cancel("turn_detected")

    def cancel(self, response_id: str | None) -> None:
        """Cancel a response, by default that in the conversation, or any other. Raises EventError."""
        chosen = self._active.get(response_id) if response_id is not None else self._latest()
        if chosen is None:
            raise EventError("there is no active response to cancel", "response_cancel_not_active")
        chosen.cancel("client_cancelled")

    def _latest(self) -> Response | None:
        active = [*self._active.values()]
        own = [response for response in active if response.conversation_id is not None]
        return next(iter((own or active)[-1:]), None)

    async def create(self, fields: dict[str, Any], config: SessionConfig) -> Response:
        """Begin the response that ``response.create`` asks for; ``speak`` sends it. Raises EventError."""
        given, config = read_response(fields, config)
        in_conversation = given.conversation != "none"
        self._check_free(in_conversation)
        text = self._text(given)
        session = await self._open_session(text, config)
        conversation_id = self._conversation.id if in_conversation else None
        item = Item(new_id("item"), "assistant", (), "in_progress")
        response = Response(new_id("resp"), item, config, given.metadata, conversation_id, text, session)
        self._active[response.id] = response
        return response

    def _check_free(self, in_conversation: bool) -> None:
        active = self._active.values()
        if in_conversation and any(response.conversation_id is not None for response in active):
            message = "the conversation has an active response: cancel it, or wait for response.done"
            raise EventError(message, "conversation_already_has_active_response")
        if len(active) >= MAX_RESPONSES:
            raise EventError(f"too many responses at once (at most {MAX_RESPONSES})", "too_many_responses")

    def _text(self, given: _Response) -> str:
        """Return the text to be read: the user's in ``input``, or outside the conversation its last item's.

        In the conversation the user's own text would come back as the assistant's answer to it.
        """
        if given.input is not None:
            param = "response.input"
            items = [self._input_item(each, f"{param}[{n}]") for n, each in enumerate(given.input)]
        elif given.conversation != "none":
            reason = "put the text to read aloud in it, or set conversation to none to read the user's last"
            raise unsupported(f"response.input: is missing, {reason}", "response.input")
        else:
            param = "response"
            last = self._conversation.last_user_item()
            items = [] if last is None else [last]
        text = "\n".join(item.text for item in items if item.role == "user")
        if not text.strip():
            raise unsupported(f"{param}: holds no input_text to read aloud", "response.input")
        return text

    def _input_item(self, given: Any, param: str) -> Item:
        if isinstance(given, dict) and given.get("type") == "item_reference":
            item_id = given.get("id")
            return self._conversation.find(item_id if isinstance(item_id, str) else "", f"{param}.id")
        return read_item(given, param)

    async def _open_session(self, text: str, config: SessionConfig) -> SpeechSession:
        try:
            choice = await asyncio.to_thread(resolve_voice, self._service, config.voice)
            request = SpeechRequest(
                voice=choice.voice,
                voices=choice.voices,
                languages=self._languages,
                speed=None if config.speed == 1 else config.speed,
            )
            session = self._service.open(request, protocol=PROTOCOL, client=self._client, memory=self._memory)
            try:
                session.feed(text)
            except SpeechError:
                await session.aclose()
                raise
        except SpeechError as error:
            raise _event_error(error) from error
        session.finish()
        return session

    async def speak(self, response: Response) -> None:
        """Send the events of a response from ``response.created`` to ``response.done``."""
        status, details = "completed", None
        try:
            async with response.session:
                await self._send_start(response)
                try:
                    await self._send_speech(response)
                except SpeechError as error:
                    status, details = _ending(response, error)
                await self._send_end(response, "completed" if status == "completed" else "incomplete")
        finally:
            del self._active[response.id]
        await self._sender.send("response.done", response=response.as_json(status, details))

    async def _send_start(self, response: Response) -> None:
        send, item = self._sender.send, response.item
        await send("response.created", response=response.as_json("in_progress"))
        await send("response.output_item.added", **response.position, item=item.as_json())
        if response.conversation_id is not None:
            previous = self._conversation.append(item)
            await send("conversation.item.added", previous_item_id=previous, item=item.as_json())
        part = {"type": "audio", "transcript": ""}
        await send("response.content_part.added", **response.place, part=part)

    async def _send_speech(self, response: Response) -> None:
        send, place = self._sender.send, response.place
        audio_format = response.config.output_format
        rate = audio_format.sample_rate
        encoder = create_encoder(audio_format, rate)
        async for chunk in reframe(aiter(response.session), rate, round(MAX_DELTA_S * rate)):
            # The session's chunk, which is several of these, may have been taken before a cancellation.
            if words := _spoken_text(response.text, chunk):
                response.check()
                response.transcript.append(words)
                await send("response.output_audio_transcript.delta", **place, delta=words)
            if data := encoder.feed(chunk.samples):
                response.check()
                response.item.duration_s += chunk.duration_s
                delta = base64.b64encode(data).decode()
                await send("response.output_audio.delta", **place, delta=delta)

    async def _send_end(self, response: Response, status: Status) -> None:
        send, place, item = self._sender.send, response.place, response.item
        transcript = "".join(response.transcript)
        item.status = status
        # The beta's item holds a part of the same type as the events of its content.
        kind = "audio" if self._sender.beta else "output_audio"
        self._conversation.set_content(item, ({"type": kind, "transcript": transcript},))
        await send("response.output_audio.done", **place)
        await send("response.output_audio_transcript.done", **place, transcript=transcript)
        part = {"type": "audio", "transcript": transcript}
        await send("response.content_part.done", **place, part=part)
        if response.conversation_id is not None:
            await send("conversation.item.done", item=item.as_json())
        await send("response.output_item.done", **response.position, item=item.as_json())

    async def aclose(self) -> None:
        """End the sessions of responses that ``speak`` has not ended."""
        for response in self._active.values():
            await response.session.aclose()
        self._active.clear()


def read_response(fields: dict[str, Any], config: SessionConfig) -> tuple[_Response, SessionConfig]:
    """Return the fields of a response, and ``config`` with its own voice and format. Raises EventError."""
    given = convert(fields, _Response, "response")
    modalities = given.output_modalities or given.modalities
    refuse_model_requests(given.tools, given.tool_choice, modalities, "response")
    if given.audio is not None and isinstance(given.audio.output, AudioOutput):
        config = with_output(config, given.audio.output, "response.audio.output")
    beta: dict[str, Any] = {name: fields[name] for name in ("voice", "output_audio_format") if name in fields}
    return given, updated_config(config, beta, (), "response") if beta else config


def _spoken_text(text: str, chunk: SpeechChunk) -> str:
    return "".join(text[span.start : span.end] for span in chunk.spans)


def _ending(response: Response, error: SpeechError) -> tuple[str, dict[str, Any]]:
    """Return status and details of a response that did not end well."""
    if isinstance(error, SpeechCancelled) and response.cancel_reason is not None:
        return "cancelled", {"type": "cancelled", "reason": response.cancel_reason}
    known = _event_error(error)
    failure = {"type": known.kind, "code": known.code, "message": str(known)}
    return "failed", {"type": "failed", "error": failure}


def _event_error(error: SpeechError) -> EventError:
    known = api_error(error, {"text": "response.input", "voice": "voice"})
    kind = "server_error" if known.status >= 500 else "invalid_request_error"
    return EventError(str(known), known.code or "server_error", known.param, kind=kind)
