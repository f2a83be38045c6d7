"""Everything that a response depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kani.core.chat_model import ChatRequest
from kani.core.conversation.items import Item
from kani.core.conversation.prompt import chat_messages
from kani.protocols.openai.realtime.session_config import SessionConfig


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that an answer depends on: one that was begun early is used only if this is the same."""

    request: ChatRequest
    config: SessionConfig
    language: str  # of the user's speech


def chat_request(items: Iterable[Item], config: SessionConfig) -> ChatRequest:
    messages = chat_messages(config.instructions, items)
    return ChatRequest(messages, config.tools, config.tool_choice, config.max_output_tokens)
