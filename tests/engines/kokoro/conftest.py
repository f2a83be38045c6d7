"""Fixtures of the tests of Kokoro."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources


@pytest.fixture(scope="module")
def student() -> Iterator[KokoroEngine]:
    """The students that ship, without Kokoro."""
    made = KokoroEngine(KokoroSettings(student="only"), Resources(Path("no-such-folder")))
    asyncio.run(made.start())
    yield made
    asyncio.run(made.stop())
