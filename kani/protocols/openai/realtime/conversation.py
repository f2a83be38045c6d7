"""Items of a Realtime conversation on the wire, and the conversation of a session."""

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

from kani.core.conversation import history
from kani.core.conversation.history import History
from kani.core.conversation.items import (
    FunctionCall,
    FunctionOutput,
    Item,
    Message,
    Part,
    Role,
    ServerCall,
    ToolList,
    new_id,
)
from kani.core.errors import Busy
from kani.core.session.budget import Share
from kani.protocols.openai.realtime.client_events import (
    MAX_ID_LENGTH,
    EventError,
    convert,
    faulty,
    unsupported,
)
from kani.protocols.openai.realtime.server_events import EventSender

MAX_PARTS = 64
"""Parts of an item."""

_TEXT_TYPES = ("input_text", "text", "output_text")
_TOOL_ITEMS = ("function_call", "function_call_output")
_ITEM_TYPES = {
    **dict(zip((FunctionCall, FunctionOutput), _TOOL_ITEMS, strict=True)),
    ServerCall: "mcp_call",
    ToolList: "mcp_list_tools",
}


_IMAGE = "input_image"
_PartType = Literal[
    "input_text", "text", "output_text", "input_audio", "audio", "output_audio", "input_image"
]
_PICTURE = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,\w")


class _Part(Struct):
    type: _PartType
    text: str | None = None
    transcript: str | UnsetType | None = UNSET
    audio: str | UnsetType | None = UNSET  # base64; ``item_audio`` hears it
    image_url: str | None = None


_Id = Annotated[str, Meta(max_length=MAX_ID_LENGTH)]


class _Message(Struct):
    type: str
    id: _Id | None = None
    role: Role = "user"
    content: Annotated[list[_Part], Meta(max_length=MAX_PARTS)] = []


class _FunctionCall(Struct):
    call_id: _Id
    name: Annotated[str, Meta(max_length=200)]
    arguments: str = "{}"
    id: _Id | None = None


class _FunctionOutput(Struct):
    call_id: _Id
    output: str
    id: _Id | None = None


def served_parts(given: Any, param: str, *, sees: bool) -> tuple[Any, list[EventError]]:
    """Return an item without the parts that are not served, and an error for each of these.

    sees: whether pictures go to a language model.
    """
    parts = given.get("content") if isinstance(given, dict) else None
    if not isinstance(parts, list) or len(parts) > MAX_PARTS:
        return given, []
    sees = sees and given.get("role", "user") == "user"
    errors = [_unserved(part, f"{param}.content[{at}]", sees) for at, part in enumerate(parts)]
    served = [part for part, error in zip(parts, errors, strict=True) if error is None]
    return {**given, "content": served}, [error for error in errors if error is not None]


def _unserved(part: Any, param: str, sees: bool) -> EventError | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or (kind in get_args(_PartType) and kind != _IMAGE):
        return None
    if kind != _IMAGE:
        return faulty(f"{param}.type", f"{kind[:100]!r} parts are not served", "unsupported")
    if not sees:
        reason = "a language model sees pictures in a user's messages"
        return faulty(f"{param}.type", reason, "unsupported")
    param, url = f"{param}.image_url", part.get("image_url")
    if isinstance(url, str) and len(url) > history.MAX_PICTURES:
        reason = f"too large (at most {history.MAX_PICTURES} characters)"
        return faulty(param, reason, "string_above_max_length")
    if not isinstance(url, str) or not _PICTURE.match(url):
        return faulty(param, 'must be a PNG, JPEG, WebP or GIF as "data:image/png;base64,…"')
    return None


def read_item(given: Any, param: str, *, answers: bool = False) -> Item:
    """Read an item. Raises EventError.

    answers: whether a language model answers here; without one, items of other types than messages are of no
    use, and an error.
    """
    kind = given.get("type") if isinstance(given, dict) else None
    if isinstance(kind, str) and kind != "message" and not (answers and kind in _TOOL_ITEMS):
        reason = f"{kind[:100]!r} items are not served"
        if answers:
            raise faulty(f"{param}.type", reason)
        raise unsupported(f"{param}.type: {reason}", f"{param}.type")
    item = _read_tool_item(given, param) if kind in _TOOL_ITEMS else _read_message(given, param)
    if isinstance(item, Message) and item.picture_size > history.MAX_PICTURES:
        reason = f"its pictures are too large (at most {history.MAX_PICTURES} characters)"
        raise faulty(f"{param}.content", reason, "string_above_max_length")
    if item.size > history.MAX_CHARACTERS:
        reason = f"too long (at most {history.MAX_CHARACTERS} characters)"
        raise faulty(param, reason, "string_above_max_length")
    return item


def _read_message(given: Any, param: str) -> Message:
    message = convert(given, _Message, param)
    parts = tuple(_read_part(part, f"{param}.content[{at}]") for at, part in enumerate(message.content))
    return Message(message.id or new_id("item"), message.role, parts)


def _read_part(part: _Part, param: str) -> Part:
    if part.type in _TEXT_TYPES:
        return Part(part.type, part.text or "")
    if part.type == _IMAGE:
        return Part(part.type, None, picture=part.image_url or "")
    if part.transcript is UNSET and part.audio is UNSET:
        # Null is what we write for speech without known words; without both fields something else is meant.
        raise faulty(f"{param}.audio", "is required", "missing_required_parameter")
    words = part.transcript if isinstance(part.transcript, str) else None
    is_heard = isinstance(part.audio, str) and not words
    return Part(part.type, None if is_heard else words, is_speech=True)


def audio_in(item: Item, given: Any, param: str) -> Iterator[tuple[Message, int, str, str]]:
    """Yield the audio that is to be heard of an item read from ``given``, a reference perhaps.

    Each is the message, the index of its part, base64, and its name.
    """
    if isinstance(item, Message) and given["type"] == "message":
        for index, part in enumerate(item.parts):
            audio = given["content"][index].get("audio")
            if part.is_speech and part.text is None and isinstance(audio, str):
                yield item, index, audio, f"{param}.content[{index}].audio"


def _read_tool_item(given: dict[str, Any], param: str) -> FunctionCall | FunctionOutput:
    if given["type"] == "function_call":
        call = convert(given, _FunctionCall, param)
        return FunctionCall(call.id or new_id("item"), call.call_id, call.name, call.arguments)
    result = convert(given, _FunctionOutput, param)
    return FunctionOutput(result.id or new_id("item"), result.call_id, result.output)


def item_json(item: Item) -> dict[str, Any]:
    if isinstance(item, Message):
        content = [_part_json(part) for part in item.parts]
        fields = {"type": "message", "status": item.status, "role": item.role, "content": content}
    else:
        fields = {"type": _ITEM_TYPES[type(item)], **asdict(item)}
    return {"id": item.id, "object": "realtime.item", **fields}


def _part_json(part: Part) -> dict[str, Any]:
    """Return a part on the wire; a picture comes back without its data."""
    if part.name == _IMAGE:
        return {"type": part.name}
    return {"type": part.name, "transcript" if part.is_speech else "text": part.text}


async def send_item(sender: EventSender, previous: str | None, item: Item) -> None:
    """Send that an item was added whole, after the item of the id ``previous``."""
    for name in ("added", "done"):
        await sender.send(f"conversation.item.{name}", previous_item_id=previous, item=item_json(item))


class Conversation(History):
    """The conversation of a session; what a client names wrongly is an EventError."""

    def __init__(self, memory: Share) -> None:
        super().__init__(memory)
        self.id = new_id("conv")

    def insert(self, item: Item, after: str | None) -> str | None:
        """Add an item after the item ``after``: "root" for the start, None for the end.

        Returns the id of the one before it. Raises EventError.
        """
        if self.get(item.id) is not None:
            raise faulty("item.id", f"{item.id!r} is in use", "item_already_exists")
        try:
            self.check_room(item)
        except Busy as error:
            raise EventError(str(error), "server_busy", kind="server_error") from error
        if after is None:
            return self.append(item)
        previous = None if after == "root" else self.find(after, "previous_item_id").id
        self.insert_after(previous, item)
        return previous

    def find(self, item_id: str, param: str = "item_id") -> Item:
        """Return the item of that id. Raises EventError."""
        if (item := self.get(item_id)) is None:
            raise faulty(param, f"no item has the id {item_id!r}", "item_not_found")
        return item

    def truncate(self, message: Message, heard_s: float) -> None:
        """Keep of a spoken message what was heard in the first ``heard_s`` seconds of its audio."""
        if message.spoken is not None:
            message.spoken.heard_s = heard_s
            if message.parts:
                self.change(message, parts=(replace(message.parts[0], text=message.spoken.heard),))
