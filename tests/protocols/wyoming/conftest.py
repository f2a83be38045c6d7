import pytest

from tests.protocols.conftest import Serve
from tests.support.loudness import PausingRecognizer
from tests.support.servers.serving import InProcessServer


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Serve Wyoming in this process, over the tone engine and a recogniser of loud sounds."""

    async def start(**environment: str) -> InProcessServer:
        return await serve(PausingRecognizer(), **{"KANI_WYOMING": "true"} | environment)

    return start


@pytest.fixture
async def port(serve: Serve) -> int:
    """Port of a server with default settings."""
    return (await serve()).streams["Wyoming"]
