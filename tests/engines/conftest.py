"""Engines that several test files share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.kokoro.engine import KokoroEngine, KokoroSettings


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KokoroEngine]:
    """Kokoro, started once for all tests; its weights come from the installed packages."""
    nowhere: Path = tmp_path_factory.mktemp("cache")
    made = KokoroEngine(KokoroSettings(models_dir=None, cache_dir=nowhere))
    asyncio.run(made.start())
    yield made
    asyncio.run(made.stop())
