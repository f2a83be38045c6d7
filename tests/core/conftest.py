"""A service over one tone engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kani.core.service import SpeechService
from tests.support.sessions import serving
from tests.support.tone import ToneEngine


@pytest.fixture
def engine() -> ToneEngine:
    return ToneEngine()


@pytest.fixture
async def service(engine: ToneEngine, tmp_path: Path) -> AsyncIterator[SpeechService]:
    """In Spanish; when it ends, nothing is left of any session."""
    async with serving(engine, tmp_path) as service:
        yield service
