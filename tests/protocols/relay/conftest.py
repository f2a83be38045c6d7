from collections.abc import AsyncIterator

import pytest

from tests.clients.relay.wire import Client, connect_client
from tests.support.servers.app_server import AppServer


@pytest.fixture
async def stream(espeak_app: AppServer) -> AsyncIterator[Client]:
    async with connect_client(espeak_app.url) as client:
        yield client


async def write(client: Client, *pieces: str) -> None:
    for piece in pieces:
        await client.send("append_tts", text=piece)
    await client.send("finish_tts")


async def ping(client: Client) -> None:
    await client.send("ping")
    assert await client.receive() == {"type": "pong"}
