"""Server events of one response, from ``response.created`` to ``response.done``."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kani.core.audio.encoding import create_encoder
from kani.core.chat_model import ChatFailed, ChatUsage, ToolCall
from kani.core.conversation.answer import Answer, Ending
from kani.core.conversation.items import FunctionCall, FunctionOutput, Item, Part, ServerCall, new_id
from kani.core.conversation.responses import Output
from kani.core.errors import SpeechError
from kani.core.types import Samples, SpeechChunk
from kani.protocols.openai.errors import api_error
from kani.protocols.openai.realtime.answers.tools import McpFailed
from kani.protocols.openai.realtime.client_events import EventError
from kani.protocols.openai.realtime.conversation import Conversation, item_json
from kani.protocols.openai.realtime.mcp import ServerTool
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.openai.realtime.session_config import SessionConfig

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons of an incomplete response, by the core's."""


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """Values that the events of a response are made of."""

    answer: Answer
    sender: EventSender
    conversation: Conversation
    config: SessionConfig
    metadata: Mapping[str, str] | None
    in_conversation: bool  # True if the response belongs to the conversation


class EventOutput(Output, ABC):
    """The server events of one response."""

    def __init__(self, context: ResponseContext) -> None:
        super().__init__(context.answer, in_conversation=context.in_conversation)
        self._sender = context.sender
        self._conversation = context.conversation
        self._config = context.config


class ResponseOutput(EventOutput):
    def __init__(self, context: ResponseContext) -> None:
        super().__init__(context)
        self._metadata = context.metadata
        self._items: list[Item] = []
        self._texts: list[str] = []
        output_format = context.config.output_format
        self._encoder = create_encoder(output_format, output_format.sample_rate)

    async def start(self) -> None:
        await self._sender.send("response.created", response=self._as_json("in_progress"))

    async def waiting(self, seconds: float) -> None:
        """Send that the model has written nothing yet.

        A field of ours in an event that means no harm: one of another type would end the connections of some
        clients.
        """
        message = f"the language model has written nothing for {seconds:.0f} s: it may be loading"
        details = {"code": "llm_waiting", "seconds": round(seconds, 1), "message": message}
        await self._sender.send("rate_limits.updated", rate_limits=[], details=details)

    async def began(self) -> None:
        if not self._config.written:
            self.message.spoken = self.answer.spoken
        await self._add(self.message)
        await self._sender.send("response.content_part.added", **self._place, part=self._part(""))

    async def _add(self, item: Item) -> None:
        self._items.append(item)
        await self._sender.send("response.output_item.added", **self._position(item), item=item_json(item))
        if self.in_conversation:
            previous = self._conversation.append(item)
            await self._sender.send(
                "conversation.item.added", previous_item_id=previous, item=item_json(item)
            )

    async def wrote(self, text: str) -> None:
        self.answer.check()
        self._texts.append(text)
        await self._sender.send("response.output_text.delta", **self._place, delta=text)

    async def spoke(self, chunk: SpeechChunk, text: str) -> None:
        """Send further audio, and before it the text that begins to be spoken in it."""
        if text:
            self._texts.append(text)
            await self._sender.send("response.output_audio_transcript.delta", **self._place, delta=text)
        await self._give_out(chunk.samples)

    async def _give_out(self, samples: Samples) -> None:
        if data := self._encoder.feed(samples):
            self.answer.check()
            await self._sender.send("response.output_audio.delta", **self._place, delta=data)

    async def called(self, call: ToolCall) -> None:
        await self._end_message("completed")
        tool = next((tool for tool in self._config.tools if tool.name == call.name), None)
        if isinstance(tool, ServerTool):
            label = tool.client.server.server_label
            of_server = ServerCall(new_id("mcp"), call.id, call.name, "", "in_progress", label)
            place = await self._write_call(of_server, call, "mcp")
            # The response ends now: the user may go on meanwhile.
            await self._sender.send("response.mcp_call.in_progress", **place)
            tool.tools.start(self._call_server(tool, of_server))
        else:
            item = FunctionCall(new_id("item"), call.id, call.name, "", "in_progress")
            await self._write_call(item, call, "function")
            item.status = "completed"
            await self._send_item_done(item)

    async def _write_call(self, item: FunctionCall, call: ToolCall, kind: str) -> dict[str, Any]:
        """Add the item of a call with its arguments; returns where it is."""
        await self._add(item)
        place = self._position(item) | {"item_id": item.id, "call_id": call.id}
        name = f"response.{kind}_call_arguments"
        if call.arguments:
            await self._sender.send(f"{name}.delta", **place, delta=call.arguments)
        await self._sender.send(f"{name}.done", **place, name=call.name, arguments=call.arguments)
        self._conversation.change(item, arguments=call.arguments)
        return place

    async def _call_server(self, tool: ServerTool, call: ServerCall) -> None:
        """Call a tool of an MCP server, and have the model answer once all calls have their results."""
        outcome, failure = "completed", None
        try:
            output = await tool.client.call(call.name, call.arguments)
        except McpFailed as error:
            outcome, output, failure = "failed", f"error: {error}", error.as_json()
        self._conversation.change(call, output=output, error=failure, status="completed")
        # Before anything is awaited: only the last of several calls finds that all have their results.
        given = {item.call_id for item in self._conversation.items if isinstance(item, FunctionOutput)}
        goes_on = all(
            item.status == "completed" if isinstance(item, ServerCall) else item.call_id in given
            for item in self._items
            if isinstance(item, FunctionCall)
        )
        place = self._position(call) | {"item_id": call.id}
        await self._sender.send(f"response.mcp_call.{outcome}", **place)
        await self._send_item_done(call)
        if goes_on:
            tool.tools.go_on()

    async def end_items(self, ending: Ending) -> None:
        """Send the end of the message, and an error of the model as an event of its own."""
        await self._end_message("completed" if ending.outcome == "completed" else "incomplete")
        if isinstance(ending.error, ChatFailed):
            await self._sender.error(event_error(ending.error))

    async def end(self, ending: Ending) -> None:
        """Send how the response ended: its last event."""
        details: dict[str, Any] | None = None
        match ending.outcome:
            case "incomplete":
                details = {"type": "incomplete", "reason": _REASONS[ending.reason]}
            case "cancelled":
                details = {"type": "cancelled", "reason": ending.reason}
            case "failed":
                assert ending.error is not None
                known = event_error(ending.error)
                failure = {"type": known.kind, "code": known.code, "message": str(known)}
                details = {"type": "failed", "error": failure}
        response = self._as_json(ending.outcome, details, ending.usage)
        await self._sender.send("response.done", response=response)

    async def _end_message(self, status: str) -> None:
        message = self.message
        if message not in self._items or message.status != "in_progress":
            return
        send, place, text = self._sender.send, self._place, "".join(self._texts)
        message.status = "completed" if status == "completed" else "incomplete"
        self._conversation.change(message, parts=(self._item_part(text),))
        if self._config.written:
            await send("response.output_text.done", **place, text=text)
        else:
            await send("response.output_audio.done", **place)
            await send("response.output_audio_transcript.done", **place, transcript=text)
        await send("response.content_part.done", **place, part=self._part(text))
        await self._send_item_done(message)

    async def _send_item_done(self, item: Item) -> None:
        if self.in_conversation:
            await self._sender.send("conversation.item.done", item=item_json(item))
        await self._sender.send("response.output_item.done", **self._position(item), item=item_json(item))

    def _position(self, item: Item) -> dict[str, Any]:
        return {"response_id": self.id, "output_index": self._items.index(item)}

    @property
    def _place(self) -> dict[str, Any]:
        """Fields that say where the message's part is."""
        return {**self._position(self.message), "item_id": self.message.id, "content_index": 0}

    def _part(self, text: str) -> dict[str, str]:
        if self._config.written:
            return {"type": "text", "text": text}
        return {"type": "audio", "transcript": text}

    def _item_part(self, text: str) -> Part:
        # The beta's item holds a part of the same type as the events of its content.
        if self._config.written:
            return Part("text" if self._sender.beta else "output_text", text)
        return Part("audio" if self._sender.beta else "output_audio", text, is_speech=True)

    def _as_json(
        self, status: str, details: Mapping[str, Any] | None = None, usage: ChatUsage | None = None
    ) -> dict[str, Any]:
        """Return the object of the wire; it holds the items once the response has ended."""
        config = self._config
        output_format = {"type": config.output_format.name}
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [] if usage is None else [item_json(item) for item in self._items],
            "conversation_id": self._conversation.id if self.in_conversation else None,
            "output_modalities": ["text" if config.written else "audio"],
            "max_output_tokens": config.max_output_tokens or "inf",
            "metadata": self._metadata,
            "audio": {"output": {"format": output_format, "voice": config.voice}},
            "usage": None if usage is None else _usage_json(usage),
        }


def _usage_json(usage: ChatUsage) -> dict[str, Any]:
    return {
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "input_token_details": {
            "text_tokens": usage.input_tokens,
            "audio_tokens": 0,
            "cached_tokens": usage.cached_tokens,
        },
        "output_token_details": {"text_tokens": usage.output_tokens, "audio_tokens": 0},
    }


def event_error(error: SpeechError) -> EventError:
    if isinstance(error, ChatFailed):
        return EventError(str(error), f"llm_{error.code}", kind="server_error")
    known = api_error(error, {"text": "response.input", "voice": "voice"})
    kind = "server_error" if known.status >= 500 else "invalid_request_error"
    return EventError(str(known), known.code or "server_error", known.param, kind=kind)
