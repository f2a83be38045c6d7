"""A tiny Pocket TTS checkpoint, transformers' model of it, and an engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kani.engines.pocket.engine import PocketEngine
from kani.engines.pocket.settings import PocketSettings
from tests.engines.pocket.random_pocket import Reference, random_reference, resources, tiny_configs, write


@pytest.fixture(scope="session")
def reference() -> Reference:
    return random_reference(tiny_configs(), end_bias=-7.0)


@pytest.fixture(scope="session")
def folder(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of German; it works, and its speech is noise."""
    return write(tmp_path_factory.mktemp("pocket"), reference)


@pytest.fixture(scope="session")
def settings(folder: Path) -> PocketSettings:
    """Exact arithmetic."""
    return PocketSettings(languages=("de",), model=str(folder), precision="float32")


@pytest.fixture
async def engine(settings: PocketSettings, tmp_path: Path) -> AsyncIterator[PocketEngine]:
    engine = PocketEngine(settings, resources(tmp_path))
    await engine.start()
    yield engine
    await engine.stop()
