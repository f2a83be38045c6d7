from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.patience import happens
from tests.support.servers.app_server import KEY, AppServer, app_server
from tests.support.servers.serving import InProcessServer, serving


@pytest.fixture(scope="session")
def keyed_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A server that other machines reach, and that asks for the key ``KEY``."""
    folder = tmp_path_factory.mktemp("keyed_app")
    with app_server(folder, KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY) as running:
        yield running


@asynccontextmanager
async def tone_app(folder: Path, **environment: str) -> AsyncIterator[InProcessServer]:
    """Serve; when it ends, nothing of any session is left."""
    async with serving(folder, **environment) as server:
        yield server
        # A session ends a moment after its answer.
        await happens(lambda: not (server.service.state().sessions or server.engine.under_way))
