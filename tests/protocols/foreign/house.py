"""A server with all of its doors open, and what it logs as an error."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.chat.endpoint import ChatEndpoint, chat_endpoint, say
from tests.support.loudness import LoudnessRecognizer
from tests.support.serving import InProcessServer, serving
from tests.support.tone import ToneEngine

SHORT = {f"KANI_{name}MAX_TEXT": "4500" for name in ("", "OPENAI_", "ELEVENLABS_", "VOXCPM_")}
"""Room for the documents of ``values.SSML``; ``values.DIGITS`` would take long to speak."""

HEADERS = ("accept-language", "x-request-timeout", "x-consent", "x-request-id", "traceparent", "range")
HALF_IN_URL = "%ED%A0%80"
LIVEKIT = {"LIVEKIT_URL": "wss://rooms.example", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}


@dataclass
class House:
    """The server, the chat endpoint that its answers come from, and its log."""

    server: InProcessServer
    endpoint: ChatEndpoint
    _caplog: pytest.LogCaptureFixture
    _seen: int = 0

    def logged(self) -> list[str]:
        """Return the errors that were logged since the last call."""
        new = self._caplog.records[self._seen :]
        self._seen += len(new)
        return [record.getMessage() for record in new if record.levelno >= logging.ERROR or record.exc_info]


@asynccontextmanager
async def house(folder: Path, caplog: pytest.LogCaptureFixture, **environment: str) -> AsyncIterator[House]:
    """Serve while the body runs; nothing may be logged as an error until the end."""
    async with chat_endpoint(lambda _: say("Yes.")) as endpoint:
        environment = (
            SHORT
            | LIVEKIT
            | {"KANI_LLM_URL": endpoint.url, "KANI_COMPAT": "1", "KANI_WYOMING": "1"}
            | environment
        )
        engine = ToneEngine(places=8, clones=True)
        async with serving(folder, LoudnessRecognizer(), engine, **environment) as server:
            here = House(server, endpoint, caplog)
            yield here
    assert not here.logged()
