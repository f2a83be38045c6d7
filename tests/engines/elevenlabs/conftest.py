"""ElevenLabs' service on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.elevenlabs_service import ElevenLabsService, running


@pytest.fixture
async def service() -> AsyncIterator[ElevenLabsService]:
    async with running() as started:
        yield started
