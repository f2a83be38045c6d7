from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.protocols.wyoming.exchange import PauseRecognizer
from tests.support.serving import InProcessServer, serving


class Serve(Protocol):
    async def __call__(self, **environment: str) -> InProcessServer: ...


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serve Wyoming in this process, over the tone engine and a recogniser of loud sounds."""
    async with AsyncExitStack() as running:

        async def start(**environment: str) -> InProcessServer:
            chosen = {"KANI_WYOMING": "true"} | environment
            return await running.enter_async_context(serving(tmp_path, PauseRecognizer(), **chosen))

        yield start


@pytest.fixture
async def port(serve: Serve) -> int:
    """Port of a server with default settings."""
    return (await serve()).streams["Wyoming"]
