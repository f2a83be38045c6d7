"""A tiny Kani checkpoint and codec, and an engine of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kani.engines.kani.engine import KaniEngine
from kani.engines.settings import KaniSettings
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
    """Exact arithmetic, two slots."""
    return KaniSettings(
        str(folder / "tiny"),
        str(folder / "codec.nemo"),
        device="cpu",
        precision="float32",
        slots=2,
        threads=1,
    )


@pytest.fixture
def uncompiled_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start engines on torch's own kernels: compiling the codec's for each takes longer than its test."""
    monkeypatch.setattr("kani.engines.kani.model.codec.nanocodec.compile_kernels", lambda precision: None)


@pytest.fixture
async def engine(settings: KaniSettings, tmp_path: Path) -> AsyncIterator[KaniEngine]:
    engine = KaniEngine(settings, cache_dir=tmp_path)
    await engine.start()
    yield engine
    await engine.stop()
