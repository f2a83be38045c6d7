"""Items of a Realtime conversation: their number and size are bounded, and their order stays."""

from __future__ import annotations

import pytest

from kani.protocols.openai.realtime import conversation
from kani.protocols.openai.realtime.conversation import MAX_ITEMS, MAX_PARTS, Conversation, Item, read_item


def item(name: str, characters: int = 0, parts: int = 1) -> Item:
    content = [{"type": "text", "text": "x" * (characters // parts)}] * parts
    return read_item({"type": "message", "id": name, "content": content}, "item")


def ids(of: Conversation) -> list[str]:
    return [each.id for each in of.items]


@pytest.fixture(autouse=True)
def few_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MAX_CHARACTERS", 10_000)


def test_oldest_items_go_first() -> None:
    of = Conversation()
    for number in range(MAX_ITEMS + 2):
        of.append(item(str(number)))
    assert ids(of) == [str(number) for number in range(2, MAX_ITEMS + 2)]


def test_characters_are_counted_through_every_change() -> None:
    of = Conversation()
    # The "text" of each item is counted, too.
    for name in "abc":
        of.append(item(name, 2996))
    of.insert(item("d", 496), "a")
    assert ids(of) == ["a", "d", "b", "c"]
    spoken = Item("e", "assistant", ())
    of.append(spoken)
    of.set_content(spoken, ({"type": "text", "text": "x" * 400},))
    assert ids(of) == ["a", "d", "b", "c", "e"]
    of.set_content(spoken, ({"type": "text", "text": "x" * 500},))
    assert ids(of) == ["d", "b", "c", "e"]
    # Outside the conversation it counts for nothing.
    of.set_content(Item("f", "assistant", ()), ({"type": "text", "text": "x" * 9000},))
    of.delete("b")
    of.append(item("g", 5000))
    assert ids(of) == ["d", "c", "e", "g"]


def test_size_of_old_items_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    of = Conversation()
    for number in range(MAX_ITEMS):
        of.append(item(str(number), MAX_PARTS, MAX_PARTS) if number % 64 == 0 else item(str(number)))
    computed: list[str] = []
    size = Item.size.fget
    assert size is not None

    def counted(self: Item) -> int:
        computed.append(self.id)
        return size(self)

    monkeypatch.setattr(Item, "size", property(counted))
    of.append(item("new"))
    # That of the new item, of itself and as it is read, and of the one that goes.
    assert sorted(set(computed)) == ["0", "new"]
