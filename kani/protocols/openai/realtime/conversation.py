"""The conversation of a session: items that the client made, its speech, and the server's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kani.protocols.openai.realtime.client_events import (
    MAX_ID_LENGTH,
    EventError,
    convert,
    unsupported,
)
from kani.protocols.openai.realtime.server_events import new_id

MAX_ITEMS = 256
"""Items that a conversation keeps; the oldest goes first."""

MAX_CHARACTERS = 2**20
"""Characters of text in all of them together."""

MAX_PARTS = 64
"""Parts of an item."""

Role = Literal["user", "assistant", "system"]
Status = Literal["completed", "incomplete", "in_progress"]
_TEXT_TYPES = ("input_text", "text", "output_text")


@dataclass(slots=True, eq=False)
class Item:
    """A message of the conversation; ``content``: parts as they stand on the wire, without audio.

    ``Conversation.set_content`` changes it.
    """

    id: str
    role: Role
    content: tuple[Mapping[str, Any], ...]
    status: Status = "completed"
    duration_s: float = 0.0  # of its speech, if the server spoke it

    @property
    def text(self) -> str:
        """Written text of all parts, a line each."""
        return "\n".join(part["text"] for part in self.content if part["type"] in _TEXT_TYPES)

    @property
    def size(self) -> int:
        """Characters of text that it holds."""
        return sum(len(value) for part in self.content for value in part.values() if isinstance(value, str))

    def as_json(self) -> dict[str, Any]:
        """Return the object of the wire."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": [dict(part) for part in self.content],
        }


class _Part(Struct):
    type: Literal["input_text", "text", "output_text", "input_audio", "audio", "output_audio"]
    text: str | None = None
    transcript: str | None = None


class _Message(Struct):
    type: str
    id: Annotated[str, Meta(max_length=MAX_ID_LENGTH)] | None = None
    role: Role = "user"
    content: Annotated[list[_Part], Meta(max_length=MAX_PARTS)] = []


def read_item(given: Any, param: str) -> Item:
    """Read a message item. Raises EventError; other types of items are for language models."""
    if isinstance(given, dict) and isinstance(given.get("type"), str) and given["type"] != "message":
        raise unsupported(f"{param}.type: {given['type'][:100]!r} items are not served", f"{param}.type")
    message = convert(given, _Message, param)
    content = tuple(
        {"type": part.type, "text": part.text or ""}
        if part.type in _TEXT_TYPES
        else {"type": part.type, "transcript": part.transcript}
        for part in message.content
    )
    item = Item(message.id or new_id("item"), message.role, content)
    if item.size > MAX_CHARACTERS:
        reason = f"{param}: too long (at most {MAX_CHARACTERS} characters)"
        raise EventError(reason, "string_above_max_length", param)
    return item


class Conversation:
    """Items in their order, bounded in number and in size."""

    def __init__(self) -> None:
        self.id = new_id("conv")
        self._items: dict[str, Item] = {}
        self._size = 0

    @property
    def items(self) -> Sequence[Item]:
        """All items, the oldest first."""
        return [*self._items.values()]

    def append(self, item: Item) -> str | None:
        """Add an item at the end; returns the id of the one before it."""
        previous = next(reversed(self._items), None)
        self._items[item.id] = item
        self._grow(item.size)
        return previous

    def insert(self, item: Item, after: str | None) -> str | None:
        """Add an item after the item ``after``: "root" for the start, None for the end.

        Returns the id of the one before it. Raises EventError.
        """
        if item.id in self._items:
            raise EventError(f"item.id: {item.id!r} is in use", "item_already_exists", "item.id")
        if after is None:
            return self.append(item)
        before = [] if after == "root" else self._until(after)
        behind = self.items[len(before) :]
        self._items = {each.id: each for each in (*before, item, *behind)}
        self._grow(item.size)
        return before[-1].id if before else None

    def _until(self, item_id: str) -> Sequence[Item]:
        self.find(item_id, "previous_item_id")
        return self.items[: [*self._items].index(item_id) + 1]

    def find(self, item_id: str, param: str = "item_id") -> Item:
        """Return the item of that id. Raises EventError."""
        if (item := self._items.get(item_id)) is None:
            raise EventError(f"{param}: no item has the id {item_id!r}", "item_not_found", param)
        return item

    def delete(self, item_id: str) -> None:
        """Remove an item. Raises EventError."""
        self._size -= self.find(item_id).size
        del self._items[item_id]

    def set_content(self, item: Item, content: tuple[Mapping[str, Any], ...]) -> None:
        """Replace the content of an item, which may be outside the conversation."""
        before, item.content = item.size, content
        if self._items.get(item.id) is item:
            self._grow(item.size - before)

    def last_user_item(self) -> Item | None:
        """Return the last item of the user, if there is one."""
        return next((item for item in reversed(self.items) if item.role == "user"), None)

    def _grow(self, characters: int) -> None:
        """Count further characters, and drop the oldest items beyond the limits."""
        self._size += characters
        while len(self._items) > MAX_ITEMS or self._size > MAX_CHARACTERS:
            oldest = next(iter(self._items))
            self._size -= self._items.pop(oldest).size
