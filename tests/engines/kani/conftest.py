"""A tiny Kani checkpoint and codec, and an engine of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.settings import KaniSettings
from kani.engines.plugin import Resources
from tests.engines.kani.model.codec import tiny_codec
from tests.engines.kani.model.random_checkpoint import random_checkpoint


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint and a small codec with frames of 80 ms; both work, and their speech is noise."""
    folder = tmp_path_factory.mktemp("kani")
    random_checkpoint(folder / "tiny")
    tiny_codec.write(folder / "codec.nemo", tiny_codec.SMALL)
    return folder


@pytest.fixture(scope="session")
def settings(folder: Path) -> KaniSettings:
    """The settings of a small model."""
    return KaniSettings(model=str(folder / "tiny"), codec=str(folder / "codec.nemo"))


def resources(cache: Path, device: str = "cpu", precision: str = "float32", slots: int = 2) -> Resources:
    """Resources of an engine without the hub."""
    return Resources(cache, threads=1, device=device, precision=precision, max_concurrent=slots)


@pytest.fixture
def uncompiled_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start engines on torch's own kernels: compiling the codec's for each takes longer than its test."""
    monkeypatch.setattr("kani.engines.kani.model.codec.nanocodec.compile_kernels", lambda precision: None)


@asynccontextmanager
async def started(settings: KaniSettings, cache: Path, *device: Any) -> AsyncIterator[KaniEngine]:
    """An engine that is stopped in the end."""
    engine = KaniEngine(settings, resources(cache, *device))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


@pytest.fixture
async def engine(settings: KaniSettings, tmp_path: Path) -> AsyncIterator[KaniEngine]:
    async with started(settings, tmp_path) as engine:
        yield engine
