"""What a language model is told of a conversation."""

from __future__ import annotations

from kani.core.chat_model import ChatMessage, ToolCall
from kani.core.conversation.items import FunctionCall, FunctionOutput, Item, Message, Part, Role
from kani.core.conversation.prompt import SILENCE, chat_messages
from kani.core.conversation.spoken_text import SpokenText
from kani.core.types import Span


def message(role: Role, text: str | None) -> Message:
    return Message("m", role, (Part("p", text, is_speech=True),))


def written(*items: Item) -> list[tuple[str, str]]:
    return [(each.role, each.text) for each in chat_messages("", items)]


def test_instructions_come_first_and_roles_alternate() -> None:
    items = [
        message("user", "One."),
        message("user", None),
        message("user", "Two."),
        message("assistant", "Three."),
        message("user", "Four."),
    ]
    told = [(each.role, each.text) for each in chat_messages("Be brief.", items)]
    assert told == [
        ("system", "Be brief."),
        ("user", "One.\nTwo."),
        ("assistant", "Three."),
        ("user", "Four."),
    ]


def test_silence_is_answered() -> None:
    assert written() == [("user", SILENCE)]
    told = [(each.role, each.text) for each in chat_messages("Greet.", [message("assistant", "Hi.")])]
    assert told == [("system", "Greet."), ("assistant", "Hi."), ("user", SILENCE)]


def test_results_stand_right_after_their_calls() -> None:
    items: list[Item] = [
        message("user", "Weather?"),
        message("assistant", "One moment."),
        FunctionCall("1", "c1", "weather", "{}"),
        FunctionCall("2", "c2", "lost", "{}"),
        FunctionCall("3", "c3", "time", "{}"),
        message("user", "Hurry."),
        FunctionOutput("4", "c3", "noon"),
        FunctionOutput("5", "c1", "sunny"),
        FunctionOutput("6", "c9", "of no call"),
    ]
    calls = (ToolCall("c1", "weather", "{}"), ToolCall("c3", "time", "{}"))
    assert chat_messages("", items) == (
        ChatMessage("user", "Weather?"),
        ChatMessage("assistant", "One moment.", calls),
        ChatMessage("tool", "sunny", call_id="c1"),
        ChatMessage("tool", "noon", call_id="c3"),
        ChatMessage("user", "Hurry."),
    )


def test_only_what_was_heard_of_an_answer_is_told() -> None:
    text, spoken = "One two, three.", SpokenText()
    spans = [(0, 3, 0.0, 0.4), (3, 4, 0.4, 0.5), (4, 7, 0.5, 0.9), (7, 9, 0.9, 1.2), (9, 15, 1.2, 1.8)]
    for span in spans:
        spoken.add(text, Span(*span))
    spoken.duration_s = 1.8
    answer = Message("m", "assistant", (Part("p", text, is_speech=True),), spoken=spoken)
    assert answer.text == text
    heard = []
    for spoken.heard_s in (0.0, 0.1, 0.3, 0.6, 0.8, 1.0, 1.4, 1.6, 1.8):
        heard.append(answer.text)
    assert heard == ["", "", "One", "One", "One two,", "One two,", "One two,", text, text]
    spoken.heard_s = 0.0
    assert written(message("user", "Hm?"), answer, message("user", "Stop.")) == [("user", "Hm?\nStop.")]
