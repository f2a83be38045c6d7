"""Engines that several test files share."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network import parts_cache
from kani.engines.kokoro.network.parts import LoadPart
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from kani.runtime import weights


@pytest.fixture(scope="session")
def engine(kokoro: KokoroEngine) -> KokoroEngine:
    """Kokoro as the server starts it."""
    return kokoro


@pytest.fixture(scope="session")
def onnx_engine(cache: Path) -> Iterator[KokoroEngine]:
    """Kokoro with the published graph's decoder, in windows; once for all tests."""
    made = KokoroEngine(KokoroSettings(decoder="onnx"), Resources(cache))
    asyncio.run(made.start())
    yield made
    asyncio.run(made.stop())


@pytest.fixture(scope="session")
def part(cache: Path) -> LoadPart:
    """Gives Kokoro's parts by their names."""
    return parts_cache.load(weights.load(weights.KOKORO, models_dir=None, cache_dir=cache), cache)


@pytest.fixture(autouse=True, scope="module")
def _threads() -> Iterator[None]:
    """Have torch compute with one thread a call: small networks are slower on two, far slower if busy."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(os.cpu_count() or 1)
