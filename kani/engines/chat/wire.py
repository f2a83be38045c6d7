"""JSON of OpenAI's chat completions: the request, the chunks of an answer, errors and the list of models.

Source: https://platform.openai.com/docs/api-reference/chat/create, and what llama.cpp, Ollama, vLLM,
OpenRouter and Mistral send instead: chunks without choices, ``content`` that is null or a list of parts,
errors that are a text, calls of tools without index or id.
"""

import json
import uuid
from collections.abc import Collection
from typing import Any, Literal

import msgspec
from msgspec import Struct

from kani.core.chat_model import ChatMessage, ChatRequest, ChatUsage, FinishReason, ToolCall
from kani_text import foreign

Extra = Literal["options", "pictures"]
"""Parts of a request that some endpoints refuse with 400."""

MAX_CALLS = 16
"""Calls of tools in one answer."""

MAX_ARGUMENTS = 2**18
"""Characters of the arguments of all of them."""

_REASONS: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}


class Function(Struct):
    """A piece of a call: the name comes once, the arguments in pieces."""

    name: str | None = None
    arguments: Any = None  # Ollama has sent objects


class CallPiece(Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(Struct):
    content: Any = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[CallPiece] | None = None

    @property
    def text(self) -> str:
        """Text of the answer; a list of parts has parts of reasoning, which are not."""
        if isinstance(self.content, list):
            parts = [part for part in self.content if isinstance(part, dict) and part.get("type") == "text"]
            return "".join(text for part in parts if isinstance(text := part.get("text"), str))
        return (self.content if isinstance(self.content, str) else "") + (self.refusal or "")

    @property
    def written(self) -> bool:
        """True if the model has written something, reasoning included."""
        return any((self.content, self.refusal, self.reasoning_content, self.reasoning, self.tool_calls))


class Choice(Struct):
    """The one answer."""

    delta: Delta | None = None
    finish_reason: str | None = None


class _Cached(Struct):
    cached_tokens: int | None = None


class Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None

    def counted(self) -> ChatUsage:
        details = self.prompt_tokens_details
        cached = details.cached_tokens if details is not None else None
        return ChatUsage(self.prompt_tokens or 0, self.completion_tokens or 0, cached or 0)


class Chunk(Struct):
    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Any = None
    message: Any = None  # of vLLM's error objects
    object: Any = None

    @property
    def failure(self) -> str | None:
        """Words of an error inside the stream; None if it is none."""
        if self.error is not None:
            return error_words(self.error)
        return error_words(self.message) if self.object == "error" else None


class _Model(Struct):
    id: str


class _Models(Struct):
    data: list[_Model] | None = None


def read_chunk(data: bytes) -> Chunk:
    """Parse the data of an event. Raises Unreadable."""
    return foreign.decode_json(data, Chunk)


def read_models(data: bytes) -> list[str]:
    """Return the names that ``GET /models`` lists. Raises Unreadable."""
    return [model.id for model in foreign.decode_json(data, _Models).data or ()]


def read_error(data: bytes) -> str:
    """Return the words of an error's body, whatever its form; empty if it has none."""
    try:
        found = foreign.decode_json(data, object)
    except foreign.Unreadable:
        return ""
    given = found.get("error", found.get("message", found.get("detail"))) if isinstance(found, dict) else None
    return error_words(given) if given is not None else ""


def error_words(error: Any) -> str:
    """Return the message of an error, which is an object or a text, in one line."""
    given = error.get("message", error.get("type")) if isinstance(error, dict) else error
    # A list of lists: printing it nests as deeply as parsing it.
    try:
        return " ".join(foreign.guarded(lambda: str(given)).split())
    except foreign.Unreadable:
        return ""


def next_extra(request: ChatRequest, left_out: Collection[Extra]) -> Extra | None:
    """Return the next part of a request to leave out for an endpoint that refuses it, None without any."""
    if request.options and "options" not in left_out:
        return "options"
    seen = any(message.pictures for message in request.messages)
    return "pictures" if seen and "pictures" not in left_out else None


def request_body(
    model: str, request: ChatRequest, length_field: str, left_out: Collection[Extra] = ()
) -> bytes:
    """Return the body of a request.

    length_field: name of the limit of tokens, which differs; left_out: parts that the endpoint does not take.
    Half a surrogate pair, which clients may send, is written as "?": it has no UTF-8.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message, seen="pictures" not in left_out) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **({} if "options" in left_out else request.options),
    }
    if request.max_tokens is not None:
        body[length_field] = request.max_tokens
    if request.tools and request.tool_choice != "none":
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                },
            }
            for tool in request.tools
        ]
        choice: Any = request.tool_choice
        if choice not in ("auto", "required"):
            choice = {"type": "function", "function": {"name": choice}}
        body["tool_choice"] = choice
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _message(message: ChatMessage, *, seen: bool) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.pictures and seen:
        pictures = [{"type": "image_url", "image_url": {"url": url}} for url in message.pictures]
        written["content"] = [{"type": "text", "text": message.text}, *pictures]
    if message.calls:
        written["content"] = message.text or None
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    if message.role == "tool":
        written["tool_call_id"] = message.call_id
    return written


def finish_reason(given: str | None) -> FinishReason:
    """Return why an answer ended, in the core's words."""
    return _REASONS.get(given or "", "stop")


class CallPieces:
    """Puts the calls of tools together: a stream has pieces of them."""

    def __init__(self) -> None:
        self._calls: list[tuple[int, ToolCall]] = []
        self._size = 0

    def add(self, piece: CallPiece) -> None:
        """Add a piece. Raises ValueError beyond the limits."""
        function = piece.function or Function()
        arguments = function.arguments
        if arguments is not None and not isinstance(arguments, str):
            arguments = foreign.guarded(lambda: msgspec.json.encode(function.arguments)).decode()
        index, known = piece.index or 0, self._find(piece)
        if known is None:
            if len(self._calls) >= MAX_CALLS:
                raise ValueError(f"more than {MAX_CALLS} calls of tools")
            call = ToolCall(piece.id or f"call_{uuid.uuid4().hex[:20]}", function.name or "", arguments or "")
            self._calls.append((index, call))
        else:
            call = self._calls[known][1]
            name = call.name or function.name or ""
            self._calls[known] = (index, ToolCall(call.id, name, call.arguments + (arguments or "")))
        self._size += len(arguments or "")
        if self._size > MAX_ARGUMENTS:
            raise ValueError(f"more than {MAX_ARGUMENTS} characters of arguments of tools")

    def _find(self, piece: CallPiece) -> int | None:
        """Return the position of the call that a piece continues: the last one of its index.

        Ollama gives several whole calls one index, and ids of their own.
        """
        positions = [at for at, (index, _) in enumerate(self._calls) if index == (piece.index or 0)]
        if not positions or (piece.id and piece.id != self._calls[positions[-1]][1].id):
            return None
        return positions[-1]

    @property
    def complete(self) -> list[ToolCall]:
        """The calls, at the end of the answer; those without a name are dropped."""
        return [call for _, call in self._calls if call.name]
