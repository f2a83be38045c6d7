"""The items of a conversation in their order, bounded in number and in size."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from kani.core.conversation.items import Item, Message
from kani.core.session.budget import Budgets, Share

MAX_ITEMS = 256
"""Items that a conversation keeps; the oldest goes first."""

MAX_CHARACTERS = 2**20
"""Characters of text in all of them together."""

MAX_PICTURES = 2**22
"""Characters of the pictures in all of them: the oldest pictures go first, and their messages stay."""


class History:
    def __init__(self, memory: Share | None = None) -> None:
        """memory: a share of ``Budgets.conversations``; where that is full, fewer items are kept."""
        self._memory = memory or Budgets().conversations.open()
        self._items: dict[str, Item] = {}
        self._size = self._picture_size = 0
        self._settled = asyncio.Event()

    @property
    def items(self) -> Sequence[Item]:
        return [*self._items.values()]

    def get(self, item_id: str) -> Item | None:
        return self._items.get(item_id)

    def check_room(self, item: Item) -> None:
        """Raise Busy if an item has no room, whatever is dropped of the conversation."""
        pictures = item.picture_size if isinstance(item, Message) else 0
        if not self._memory.fits(item.size + pictures):
            raise self._memory.refusal()

    def append(self, item: Item) -> str | None:
        """Add an item at the end; returns the id of the one before it."""
        previous = next(reversed(self._items), None)
        self._items[item.id] = item
        self._grow(item.size)
        return previous

    def insert_after(self, previous: str | None, item: Item) -> None:
        """Add an item after the one of the id ``previous``, which is there; None: at the start."""
        at, items = 0 if previous is None else [*self._items].index(previous) + 1, self.items
        self._items = {each.id: each for each in (*items[:at], item, *items[at:])}
        self._grow(item.size)

    def remove(self, item: Item) -> None:
        del self._items[item.id]
        self._dropped(item)

    def change(self, item: Item, **fields: Any) -> None:
        """Set fields of an item, which may be outside the conversation."""
        before = item.size
        for name, value in fields.items():
            setattr(item, name, value)
        if self._items.get(item.id) is item:
            self._grow(item.size - before)

    def settle(self, message: Message) -> None:
        """Note that a message's speech is transcribed, or never will be."""
        message.pending = False
        self._settled.set()

    async def wait_until_settled(self, items: Iterable[Item]) -> None:
        """Return once the speech of ``items`` is transcribed."""
        waited = [item for item in items if isinstance(item, Message)]
        while any(item.pending for item in waited):
            self._settled.clear()
            await self._settled.wait()

    def last_of_user(self) -> Message | None:
        messages = (item for item in reversed(self.items) if isinstance(item, Message))
        return next((message for message in messages if message.role == "user"), None)

    def _grow(self, characters: int) -> None:
        """Count further characters, and drop the oldest pictures and items beyond the limits."""
        self._size += characters
        self._drop_pictures()
        self._count(0)
        while len(self._items) > MAX_ITEMS or self._size > MAX_CHARACTERS or not self._has_room:
            self._dropped(self._items.pop(next(iter(self._items))))

    def _drop_pictures(self) -> None:
        seen = [item for item in self._items.values() if isinstance(item, Message) and item.picture_size]
        self._picture_size = sum(message.picture_size for message in seen)
        for message in seen:
            if self._picture_size <= MAX_PICTURES and self._has_room:
                break
            self._picture_size -= message.picture_size
            message.parts = tuple(replace(part, picture="") for part in message.parts)

    @property
    def _has_room(self) -> bool:
        return len(self._items) == 1 or self._memory.fits(self._size + self._picture_size)

    def _count(self, characters: int) -> None:
        self._size += characters
        self._memory.hold(self._size + self._picture_size)

    def _dropped(self, item: Item) -> None:
        self._drop_pictures()
        self._count(-item.size)
        if isinstance(item, Message):
            self.settle(item)  # its transcript would come to no item
