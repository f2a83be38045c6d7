"""Writes the items of a conversation as messages to a language model."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kani.core.chat_model import ChatMessage, ToolCall
from kani.core.conversation.items import FunctionCall, FunctionOutput, Item, Message, ServerCall

SILENCE = "..."
"""Stands for the user's message where the model is to speak first: many templates want one last."""


def chat_messages(instructions: str, items: Iterable[Item]) -> tuple[ChatMessage, ...]:
    """Return the messages: instructions first, messages of one role in a row joined.

    A call of a tool stands with its result right after it, as endpoints require; a call without one, and a
    result without its call, are left out.
    """
    items = [*items]
    results = (item for item in items if isinstance(item, FunctionOutput | ServerCall))
    outputs = {item.call_id: item.output for item in results if item.output is not None}
    messages = [ChatMessage("system", instructions)] if instructions else []
    calls: list[FunctionCall] = []
    for item in items:
        if isinstance(item, FunctionCall):
            calls += [item] if item.call_id in outputs else []
        elif isinstance(item, Message):
            pictures = tuple(part.picture for part in item.parts if part.picture)
            if item.text or pictures:
                _add_calls(messages, calls, outputs)
                _add(messages, ChatMessage(item.role, item.text, pictures=pictures))
    _add_calls(messages, calls, outputs)
    if not messages or messages[-1].role not in ("user", "tool"):
        messages.append(ChatMessage("user", SILENCE))
    return tuple(messages)


def _add(messages: list[ChatMessage], message: ChatMessage) -> None:
    last = messages[-1] if messages else None
    if last is not None and last.role == message.role and not last.calls:
        text = "\n".join(filter(None, (last.text, message.text)))
        messages[-1] = replace(last, text=text, pictures=last.pictures + message.pictures)
    else:
        messages.append(message)


def _add_calls(messages: list[ChatMessage], calls: list[FunctionCall], outputs: Mapping[str, str]) -> None:
    """Add the calls that were collected, and their results; the list is empty then."""
    if not calls:
        return
    written = tuple(ToolCall(call.call_id, call.name, call.arguments) for call in calls)
    last = messages[-1] if messages else None
    if last is not None and last.role == "assistant" and not last.calls:
        messages[-1] = replace(last, calls=written)
    else:
        messages.append(ChatMessage("assistant", "", written))
    messages += [ChatMessage("tool", outputs[call.call_id], call_id=call.call_id) for call in calls]
    calls.clear()
