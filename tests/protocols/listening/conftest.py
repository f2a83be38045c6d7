from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kani.core.diarization.diarizer import Diarizer
from kani.core.recognizer import Recognizer
from kani.library import asynchronous
from kani.server import speech_service
from tests.protocols.listening.doors import House, opened

Furnish = Callable[..., Awaitable[House]]


@pytest.fixture
async def furnish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Furnish]:
    """Open every door; the library gets the recogniser and the diarizer themselves."""
    async with AsyncExitStack() as running:

        async def start(recognizer: Recognizer, diarizer: Diarizer | None = None) -> House:
            monkeypatch.setattr(speech_service, "build_recognizer", lambda *_, **__: recognizer)
            for module in (asynchronous, speech_service):
                monkeypatch.setattr(module, "build_diarizer", lambda: diarizer)
            return await running.enter_async_context(opened(tmp_path, recognizer, diarizer=diarizer))

        yield start
