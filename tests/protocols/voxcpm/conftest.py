from collections.abc import AsyncIterator

import pytest

from tests.clients.voxcpm.wire import Client, opened
from tests.support.servers.app_server import AppServer


@pytest.fixture
async def talk(espeak_app: AppServer) -> AsyncIterator[Client]:
    async with opened(espeak_app.url) as client:
        yield client
