from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import httpx2
import pytest

from kani.core.engine import EngineInfo
from kani.core.recognizer import Recognizer
from kani.core.service import SpeechService
from kani.core.types import Voice
from kani.engines.kokoro.voices import DEFAULT_VOICES, Voices
from tests.support.loudness import LoudnessRecognizer
from tests.support.servers.app_server import AppServer, StartApp, app_server, app_starter
from tests.support.servers.serving import InProcessServer, serving
from tests.support.sessions import started
from tests.support.tone import RATE, tones


class Serve(Protocol):
    async def __call__(self, recognizer: Recognizer | None = None, **environment: str) -> InProcessServer: ...


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serve in this process; a test permits the engine's steps: ``await serve(KANI_MAX_TEXT="50")``."""
    async with AsyncExitStack() as running:

        async def start(recognizer: Recognizer | None = None, **environment: str) -> InProcessServer:
            return await running.enter_async_context(serving(tmp_path, recognizer, **environment))

        yield start


@pytest.fixture(scope="session")
def espeak_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """The application in this process, by espeak-ng, for the whole run; it recognizes "bum" in loud audio."""
    with app_server(tmp_path_factory.mktemp("espeak_app")) as running:
        running.service.recognition.recognizer = LoudnessRecognizer()
        yield running


@pytest.fixture
def client(espeak_app: AppServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=espeak_app.http_url) as client:
        yield client


@pytest.fixture
def start_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartApp]:
    """Start an application of one's own: ``start_app(KANI_MAX_TEXT="50")``."""
    with app_starter(lambda: tmp_path_factory.mktemp("app")) as start:
        yield start


@pytest.fixture
async def voices_service(tmp_path: Path) -> AsyncIterator[SpeechService]:
    """A service with Kokoro's voices and one of espeak-ng's, which are tones."""
    arabic = Voice("espeak:ar", "Arabic", "ar", "espeak")
    infos = [
        EngineInfo("kokoro", "1", RATE, Voices().all, DEFAULT_VOICES),
        EngineInfo("espeak", "1", RATE, (arabic,), {"ar": arabic.id}),
    ]
    async with started(tmp_path, *tones(*infos)) as service:
        yield service
