from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients.openai_realtime import Client, realtime
from tests.support.chat.talking import StartTalk, Talk, answering
from tests.support.loudness import PausingRecognizer
from tests.support.servers.app_server import AppServer, app_server


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """The application in this process, over espeak-ng; it hears "w0 w1 …" in loud audio."""
    with app_server(tmp_path_factory.mktemp("app")) as running:
        running.service.recognition.recognizer = PausingRecognizer()
        yield running


@pytest.fixture
async def listener(app: AppServer) -> AsyncIterator[Client]:
    """A client of ``app`` that sends speech to be written down."""
    async with realtime(app.url) as client:
        yield client


@pytest.fixture
async def speaker(app: AppServer) -> AsyncIterator[Client]:
    """A client of ``app`` that is spoken to."""
    async with realtime(app.url, "model=gpt-realtime") as client:
        yield client


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[StartTalk]:
    async with AsyncExitStack() as running:

        async def start(*answers: Any, headers: dict[str, str] | None = None, **how: Any) -> Talk:
            server, endpoint = await running.enter_async_context(answering(tmp_path, *answers, **how))
            connected = realtime(server.url, "model=m", additional_headers=headers)
            return Talk(await running.enter_async_context(connected), server, endpoint)

        yield start
