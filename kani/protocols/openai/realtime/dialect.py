"""Differences between the connections of OpenAI's clients, of calls and of Unmute's clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kani.protocols.openai.realtime.answers.output import Output, ResponseContext, ResponseOutput
from kani.protocols.openai.realtime.conversation import Conversation
from kani.protocols.openai.realtime.input_events import InputEvents
from kani.protocols.openai.realtime.server_events import EventSender


@dataclass(frozen=True, slots=True)
class Dialect:
    """Makers of a connection's events."""

    make_sender: Callable[[Callable[[str], Awaitable[None]]], EventSender]
    make_events: Callable[[EventSender, Conversation], InputEvents] = InputEvents
    make_output: Callable[[ResponseContext], Output] = ResponseOutput
    silence: Callable[[], None] = lambda: None  # stops what is played on this side
