"""Engines that several test files share."""

from __future__ import annotations

import asyncio
import os
import sys
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


@pytest.fixture(autouse=True, scope="module")
def _threads() -> Iterator[None]:
    """The fast decoder has torch compute with one thread a call; other engines' tests do not want that."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(os.cpu_count() or 1)
