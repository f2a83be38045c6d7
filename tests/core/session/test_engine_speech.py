"""Speech that breaks an engine's contract fails in words where it enters the session, and disturbs nobody."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from kani.core.audio import checked
from kani.core.errors import EngineFailed
from kani.core.service import SpeechService
from kani.core.types import SpeechRequest
from tests.engines.faulty import FAULTS, RATE, SECOND, FaultyEngine
from tests.support.patience import WITHIN_S
from tests.support.sessions import SPANISH, audio, serving, speak

MAX_TOKENS = 100
SHORT = SpeechRequest(language="es", max_tokens=MAX_TOKENS)
SHORT_S = 2.0
WORDS = "uno dos tres"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[SpeechService]:
    async with serving(FaultyEngine(), tmp_path) as service, asyncio.timeout(WITHIN_S):
        yield service


@pytest.mark.parametrize("slower", [False, True], ids=["as it is", "filtered"])
@pytest.mark.parametrize("name", FAULTS)
async def test_fault_is_named_and_others_are_undisturbed(
    service: SpeechService, name: str, slower: bool
) -> None:
    request = SpeechRequest(language="es", speed=0.25, emotion="sad") if slower else SPANISH
    alone = audio(await speak(service, WORDS))
    other, broken = await asyncio.gather(
        speak(service, WORDS), speak(service, name, request), return_exceptions=True
    )
    assert isinstance(broken, EngineFailed), broken
    assert str(broken).startswith("the tone engine ") and FAULTS[name][1] in str(broken)
    assert isinstance(other, list) and np.array_equal(audio(other), alone)


async def test_odd_speech_is_spoken(service: SpeechService) -> None:
    assert np.array_equal(audio(await speak(service, "faint")), np.full(RATE, 1e-40, np.float32))
    over = audio(await speak(service, "over"))
    assert np.array_equal(over, np.clip(SECOND * 40, -1, 1)) and over.dtype == np.float32
    for name in ("dust", "gaps"):
        chunks = await speak(service, name)
        assert np.array_equal(audio(chunks), SECOND)
        # The last two are the rest of the audio, and what a segment holds back.
        assert min(len(chunk.samples) for chunk in chunks[:-2]) >= checked.SHORTEST_S * RATE
    assert len(audio(await speak(service, "long", SHORT))) == SHORT_S * RATE


async def test_engine_that_never_waits_leaves_turns_to_others(
    service: SpeechService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "TURN_S", 0.0)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    waiting = asyncio.create_task(other())
    chunks = await speak(service, "endless", SHORT)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert len(audio(chunks)) == SHORT_S * RATE
    assert turns >= SHORT_S * RATE
