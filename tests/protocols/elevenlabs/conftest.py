from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from kani.core.service import SpeechService
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.app_server import KEY, AppServer, app_server
from tests.support.servers.serving import serving
from tests.support.tone import ToneEngine


@pytest.fixture(scope="session")
def keyed_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A server that other machines reach, and that asks for the key ``KEY``."""
    folder = tmp_path_factory.mktemp("keyed_app")
    with app_server(folder, KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY) as running:
        yield running


@dataclass
class ToneApp:
    """A server over the tone engine, and a client of its calls."""

    tone: ToneEngine
    service: SpeechService
    client: httpx.AsyncClient


@asynccontextmanager
async def tone_app(folder: Path, **environment: str) -> AsyncIterator[ToneApp]:
    """Serve; when it ends, nothing of any session is left."""
    async with (
        serving(folder, **environment) as server,
        httpx.AsyncClient(base_url=server.http_url, timeout=WITHIN_S) as client,
    ):
        yield ToneApp(server.engine, server.service, client)
        # A session ends a moment after its answer.
        await happens(lambda: not (server.service.state().sessions or server.engine.under_way))
