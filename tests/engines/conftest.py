"""Engines that several test files share."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import weights
from engines.kokoro import parts_cache
from engines.kokoro.engine import KokoroEngine, KokoroSettings
from engines.kokoro.parts import LoadPart


@pytest.fixture(scope="session")
def engine(cache: Path) -> Iterator[KokoroEngine]:
    """Kokoro, started once for all tests; its weights come from the installed packages."""
    made = KokoroEngine(KokoroSettings(models_dir=None, cache_dir=cache))
    asyncio.run(made.start())
    yield made
    asyncio.run(made.stop())


@pytest.fixture(scope="session")
def part(cache: Path) -> LoadPart:
    """Gives Kokoro's parts by their names."""
    return parts_cache.load(weights.load(weights.KOKORO, models_dir=None, cache_dir=cache), cache)


@pytest.fixture(autouse=True, scope="module")
def _threads() -> Iterator[None]:
    """The fast decoder has torch compute with one thread a call; other engines' tests do not want that."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(os.cpu_count() or 1)
