"""Fixtures of the tests of Kokoro."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from kani.runtime import weights


@pytest.fixture(scope="session")
def published() -> bytes:
    """The int8 export, from the installed packages."""
    return weights.load(weights.KOKORO, models_dir=None, cache_dir=Path("unused"))


@pytest.fixture
async def new_engine(cache: Path) -> AsyncIterator[Callable[..., KokoroEngine]]:
    """Make engines by decoder and cache folder; they are stopped at the end."""
    made: list[KokoroEngine] = []

    def make(decoder: str = "auto", folder: Path = cache) -> KokoroEngine:
        made.append(KokoroEngine(KokoroSettings(decoder=decoder), Resources(folder)))
        return made[-1]

    yield make
    for engine in made:
        await engine.stop()
