"""The published graph, for the tests of Kokoro."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import weights


@pytest.fixture(scope="session")
def published() -> bytes:
    """The int8 export, from the installed packages."""
    return weights.load(weights.KOKORO, models_dir=None, cache_dir=Path("unused"))
