"""Moonshine's recogniser by the contract of the recognisers, from a checkpoint on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch

from kani.core.errors import EngineFailed, InvalidRequest
from kani.core.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.moonshine.engine import MoonshineRecognizer
from kani.engines.moonshine.model import Moonshine
from kani.engines.moonshine.settings import MoonshineSettings
from kani.engines.plugin import Resources
from kani.runtime.recognition.passes import PassInput
from tests.engines.moonshine.conftest import generated
from tests.engines.moonshine.random_checkpoint import random_model, tokenizer_of

RATE = 16_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MoonshineRecognizer]:
    resources = Resources(tmp_path_factory.mktemp("cache"), precision="float32")
    made = MoonshineRecognizer(MoonshineSettings(model=str(folder)), resources)
    await made.start()
    yield made
    await made.stop()
    with pytest.raises(EngineFailed, match="not running"):
        await anext(made.recognize(pieces(torch.zeros(9).numpy(), 9), None))


async def pieces(samples: Samples, size: int, *marks: Mark) -> AsyncIterator[Samples | Mark]:
    for at in range(0, len(samples), size):
        yield samples[at : at + size]
    for mark in marks:
        yield mark


async def recordings(samples: Samples, size: int) -> AsyncIterator[Samples]:
    async for piece in pieces(samples, size):
        assert not isinstance(piece, Mark)
        yield piece


async def recognized(
    recognizer: MoonshineRecognizer, samples: Samples, size: int, *marks: Mark
) -> list[RecognitionEvent]:
    return [event async for event in recognizer.recognize(pieces(samples, size, *marks), "en")]


def words_of(events: list[RecognitionEvent]) -> list[RecognizedWord]:
    return [event for event in events if isinstance(event, RecognizedWord)]


def test_a_pass_gives_the_words_of_generate_and_their_times(folder: Path, speech: Samples) -> None:
    model: Any = random_model().double()
    samples = speech[: 2 * RATE]
    tokens = generated(model, samples, (), 38)
    assert tokens[-1] in model.config.eos_token_id
    moonshine = Moonshine(folder, torch.float64, "en")
    result = moonshine.transcribe(moonshine.stream(), lambda: False, PassInput(samples, "en"))
    moonshine.stop()
    text = tokenizer_of(model.config.vocab_size).decode(tokens[:-1])
    assert " ".join(timed.word.text for timed in result.words) == text and len(result.words) > 1
    times = [time for timed in result.words for time in (timed.start_s, timed.end_s)]
    assert times == sorted(times) and 0 <= times[0] < times[-1] <= 2
    assert all(0 < timed.probability <= 1 for timed in result.words)


@pytest.mark.asyncio(loop_scope="module")
async def test_words_steps_and_marks_are_the_contracts(
    recognizer: MoonshineRecognizer, speech: Samples
) -> None:
    found = await asyncio.gather(
        *(recognized(recognizer, speech, size, Mark(3)) for size in (1280, len(speech)))
    )
    steps = int(len(speech) / RATE / STEP_S)
    for events in found:
        words = words_of(events)
        assert len(words) > 2 and {word.language for word in words} == {"en"}
        times = [time for word in words for time in (word.start_s, word.end_s)]
        assert times == sorted(times) and times[-1] <= len(speech) / RATE
        assert [event.index for event in events if isinstance(event, Step)] == list(range(steps))
        assert [event for event in events if isinstance(event, Mark)] == [Mark(3)]


@pytest.mark.asyncio(loop_scope="module")
async def test_recording_is_transcribed_the_same_each_time(
    recognizer: MoonshineRecognizer, speech: Samples
) -> None:
    async def transcribed(size: int) -> list[str]:
        options = TranscriptionOptions(language="en")
        return [one.text async for one in recognizer.transcribe(recordings(speech, size), options)]

    first, *others = await asyncio.gather(transcribed(5000), transcribed(len(speech)), transcribed(9999))
    assert first and others == [first, first]
    with pytest.raises(InvalidRequest, match="does not translate"):
        await anext(recognizer.transcribe(recordings(speech, 5000), TranscriptionOptions(translate=True)))


@pytest.mark.asyncio(loop_scope="module")
async def test_cancelled_streams_leave_the_others_alone(
    recognizer: MoonshineRecognizer, speech: Samples
) -> None:
    whole = words_of(await recognized(recognizer, speech, len(speech)))

    async def leave(events: int) -> None:
        count = 0
        async for _ in recognizer.recognize(pieces(speech, 1280), None):
            count += 1
            if count == events:
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    tasks = [asyncio.create_task(leave(events)) for events in range(10, 40, 3)]
    beside = words_of(await recognized(recognizer, speech, len(speech)))
    await asyncio.wait(tasks)
    assert beside == whole and all(task.cancelled() for task in tasks)
