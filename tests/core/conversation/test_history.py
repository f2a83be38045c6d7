"""Items of a conversation: their number and size are bounded, and their order stays."""

from __future__ import annotations

import asyncio

import pytest

from kani.core.conversation import history
from kani.core.conversation.history import MAX_ITEMS, History
from kani.core.conversation.items import Message, Part


def item(name: str, characters: int = 0, *, pending: bool = False) -> Message:
    return Message(name, "user", (Part("text", "x" * characters),), pending=pending)


def ids(of: History) -> list[str]:
    return [each.id for each in of.items]


@pytest.fixture(autouse=True)
def few_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_CHARACTERS", 10_000)


def test_oldest_items_go_first() -> None:
    of = History()
    for number in range(MAX_ITEMS + 2):
        of.append(item(str(number)))
    assert ids(of) == [str(number) for number in range(2, MAX_ITEMS + 2)]


def test_characters_are_counted_through_every_change() -> None:
    of = History()
    # The name of each part is counted, too.
    for name in "abc":
        of.append(item(name, 2996))
    of.insert_after("a", item("d", 496))
    assert ids(of) == ["a", "d", "b", "c"]
    spoken = Message("e", "assistant")
    of.append(spoken)
    of.set_parts(spoken, (Part("text", "x" * 400),))
    assert ids(of) == ["a", "d", "b", "c", "e"]
    of.set_parts(spoken, (Part("text", "x" * 500),))
    assert ids(of) == ["d", "b", "c", "e"]
    # Outside the conversation it counts for nothing.
    of.set_parts(Message("f", "assistant"), (Part("text", "x" * 9000),))
    of.remove(of.items[1])
    of.append(item("g", 5000))
    assert ids(of) == ["d", "c", "e", "g"]
    of.prepend(item("h"))
    assert ids(of) == ["h", "d", "c", "e", "g"]


def test_size_of_old_items_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    of = History()
    for number in range(MAX_ITEMS):
        of.append(item(str(number)))
    computed: list[str] = []
    size = Message.size.fget
    assert size is not None

    def counted(self: Message) -> int:
        computed.append(self.id)
        return size(self)

    monkeypatch.setattr(Message, "size", property(counted))
    of.append(item("new"))
    # That of the new item, and of the one that goes.
    assert sorted(set(computed)) == ["0", "new"]


async def test_wait_ends_once_all_speech_is_transcribed() -> None:
    of = History()
    first, second = item("a", pending=True), item("b", pending=True)
    of.append(first)
    of.append(second)
    waiting = asyncio.create_task(of.wait_until_settled(of.items))
    of.settle(first)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    # A client deletes it: its transcript will come to no item.
    of.remove(second)
    await asyncio.wait_for(waiting, 5)
