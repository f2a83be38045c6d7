"""A house with every door of ``doors``: a server, and a library that builds the same recogniser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kani.core.diarization.diarizer import Diarizer
from kani.core.recognizer import Recognizer
from kani.library import asynchronous
from kani.server import speech_service
from tests.protocols.listening.doors import SERVED, House
from tests.support.chat.endpoint import chat_endpoint, say
from tests.support.serving import serving


@asynccontextmanager
async def opened(
    folder: Path, recognizer: Recognizer, name: str = "auto", diarizer: Diarizer | None = None
) -> AsyncIterator[House]:
    """Open every door; name: of the recogniser, for the library."""
    async with (
        chat_endpoint(lambda _: say("Yes.")) as endpoint,
        serving(folder, recognizer, diarizer=diarizer, **SERVED, KANI_LLM_URL=endpoint.url) as server,
    ):
        yield House(server, endpoint.url, name, folder)


@asynccontextmanager
async def furnished(
    folder: Path, monkeypatch: pytest.MonkeyPatch, recognizer: Recognizer, diarizer: Diarizer | None = None
) -> AsyncIterator[House]:
    """Open every door; the library gets ``recognizer`` and ``diarizer`` themselves."""

    def built(*_given: Any, **_options: Any) -> Recognizer:
        return recognizer

    monkeypatch.setattr(speech_service, "build_recognizer", built)
    for module in (asynchronous, speech_service):
        monkeypatch.setattr(module, "build_diarizer", lambda: diarizer)
    async with opened(folder, recognizer, diarizer=diarizer) as house:
        yield house
