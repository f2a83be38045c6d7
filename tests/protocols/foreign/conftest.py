import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.chat.endpoint import chat_endpoint, say
from tests.support.loudness import LoudnessRecognizer
from tests.support.servers.serving import InProcessServer, serving
from tests.support.tone import ToneEngine

SHORT = {f"KANI_{name}MAX_TEXT": "4500" for name in ("", "OPENAI_", "ELEVENLABS_", "VOXCPM_")}
"""Room for the documents of ``values.SSML``; ``values.DIGITS`` would take long to speak."""

LIVEKIT = {"LIVEKIT_URL": "wss://rooms.example", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}


@dataclass
class House:
    """A server with all of its doors open, and what is wrong with its answers."""

    server: InProcessServer
    caplog: pytest.LogCaptureFixture
    problems: list[str] = field(default_factory=list)
    _seen: int = 0

    def note(self, about: str, *found: str) -> None:
        """Note what was found wrong, and the errors that were logged since the last call."""
        new = self.caplog.records[self._seen :]
        self._seen += len(new)
        logged = (each.getMessage() for each in new if each.levelno >= logging.ERROR or each.exc_info)
        self.problems += [f"{about}: {each}" for each in (*found, *logged) if each]


OpenHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def house(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[OpenHouse]:
    """Serve, by settings; at the end nothing may be wrong, nor logged as an error."""
    houses: list[House] = []
    async with AsyncExitStack() as running:

        async def start(**environment: str) -> House:
            endpoint = await running.enter_async_context(chat_endpoint(lambda _: say("Yes.")))
            own = {"KANI_LLM_URL": endpoint.url, "KANI_COMPAT": "1", "KANI_WYOMING": "1"}
            engine, settings = ToneEngine(places=8, clones=True), SHORT | LIVEKIT | own | environment
            served = serving(tmp_path, LoudnessRecognizer(), engine, **settings)
            houses.append(House(await running.enter_async_context(served), caplog))
            return houses[-1]

        yield start
    for each in houses:
        each.note("the end")
        assert not each.problems, "\n".join(each.problems[:100])
