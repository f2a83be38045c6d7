"""An engine that has the students only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources


@pytest.fixture(scope="package")
def student() -> Iterator[KokoroEngine]:
    made = KokoroEngine(KokoroSettings(student="only"), Resources(Path("no-such-folder")))
    asyncio.run(made.start())
    yield made
    asyncio.run(made.stop())
