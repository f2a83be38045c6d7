"""The delay of live words by the time of a pass, and what a machine does that is too slow for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Mark
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.whisper.checkpoint import live_delay
from kani.engines.whisper.engine import WhisperRecognizer
from tests.engines.whisper.checkpoint.conftest import Checkpoint


def test_delay_grows_with_the_time_of_a_pass() -> None:
    # The audio after a word, the rest of the pass before, and the pass; never more than 6.7 passes a second.
    assert live_delay.delay_s(0.2) == pytest.approx(0.2 + 0.1 + 0.2)
    assert live_delay.delay_s(0.01) == pytest.approx(0.2 + 0.075 + 0.01)
    assert live_delay.delay_s(1.2) == pytest.approx(live_delay.LONGEST_S)


def test_more_cores_are_needed_where_one_is_too_slow() -> None:
    assert live_delay.cores_needed(0.2) == live_delay.cores_needed(1.19) == 1
    assert live_delay.cores_needed(1.3) == 3 and live_delay.cores_needed(4.8) == 8


async def silence() -> AsyncIterator[Samples]:
    yield np.zeros(16_000, np.float32)


async def live() -> AsyncIterator[Samples | Mark]:
    yield np.zeros(16_000, np.float32)


async def started(checkpoint: Checkpoint, cache: Path) -> WhisperRecognizer:
    made = WhisperRecognizer(models_dir=None, cache_dir=cache, model=str(checkpoint("multilingual")))
    await made.start()
    return made


@pytest.mark.heard
async def test_start_measures_and_tells_the_delay(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        made = await started(checkpoint, tmp_path)
    delay_s = made.info.live_delay_s
    assert delay_s is not None and 0.2 < delay_s < live_delay.LONGEST_S and not made.info.recordings_only
    assert f"live words come about {delay_s:.1f} s after they are said" in caplog.text
    assert [event async for event in made.recognize(live(), "en")]
    await made.stop()


@pytest.mark.heard
async def test_slow_machine_serves_recordings_only(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Half of what the audio after a word takes: every model is too slow.
    monkeypatch.setattr(live_delay, "LONGEST_S", 0.1)
    monkeypatch.setattr(live_delay, "cores_needed", lambda pass_s: 1)
    made = await started(checkpoint, tmp_path)
    reason = r"whisper-multilingual is too slow on this machine for live speech .* KANI_WHISPER_MODEL to a sm"
    with pytest.raises(EngineUnavailable, match=reason):
        await anext(made.recognize(live(), "en"))
    assert "too slow on this machine" in caplog.text
    assert [one async for one in made.transcribe(silence(), TranscriptionOptions("en"))] == []
    await made.stop()


@pytest.mark.heard
async def test_slow_passes_get_all_cores(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr(live_delay, "cores_needed", lambda pass_s: 2)
    made = await started(checkpoint, tmp_path)
    assert made._whisper._model.num_workers == made._workers == made._scheduler._free == 2
    events = await asyncio.gather(*(anext(made.recognize(live(), "en")) for _ in range(3)))
    assert len(events) == 3
    await made.stop()
