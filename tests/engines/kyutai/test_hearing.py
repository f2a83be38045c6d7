"""Kyutai's recogniser beside the makers' package: a tiny random checkpoint of the true architecture."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import pytest_asyncio

from kani.core.audio.pcm import wav
from kani.core.recognizer import RecognizedWord, Step
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.kyutai import plugin
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.packages.recognizer import PackageRecognizer
from tests.clients.kyutai.wire import FRAME
from tests.engines.packages.life import resources, started
from tests.judges.judged import JUDGE_PYTHON, ONE_THREAD, judge, needs, noise

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

RATE = 24_000
LOUDER = np.random.default_rng(5).normal(0, 0.3, 60 * FRAME).astype(np.float32)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the checkpoint, of two recordings, and of the words that the package hears in them."""
    needs("moshi")
    folder = tmp_path_factory.mktemp("judged")
    noise(folder / "recording.wav", 12 * FRAME, RATE)
    louder = LOUDER * np.repeat(np.random.default_rng(6).uniform(0, 1, 60), FRAME).astype(np.float32)
    (folder / "louder.wav").write_bytes(wav(louder, RATE))
    jobs = {name: {"model": "hearing", "recording": f"{name}.wav"} for name in ("recording", "louder")}
    judge("kyutai_judge.py", folder, jobs, ONE_THREAD)
    return folder


def words_of(folder: Path, name: str) -> list[str]:
    """Words that the package hears, but for the last, which ends with the silence."""
    return cast(list[str], json.loads((folder / f"{name}.json").read_text("utf-8")))[:-1]


def heard(folder: Path, name: str) -> Samples:
    with wave.open(str(folder / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 2**15


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer(
    judged: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PackageRecognizer]:
    settings = KyutaiSettings(model=str(judged / "hearing"), python=JUDGE_PYTHON)
    built = plugin.build(settings, resources(tmp_path_factory.mktemp("hearing"), device="cpu"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ONE_THREAD.items():
            patch.setenv(name, value)
        async with started(built):
            yield built


async def pieces(samples: Samples, size: int) -> AsyncIterator[Samples]:
    for at in range(0, len(samples), size):
        yield samples[at : at + size]


async def recognised(recognizer: PackageRecognizer, samples: Samples, size: int) -> list[RecognizedWord]:
    events = [event async for event in recognizer.recognize(pieces(samples, size), None)]
    assert [event.index for event in events if isinstance(event, Step)] == list(range(len(samples) // FRAME))
    words = [event for event in events if isinstance(event, RecognizedWord)]
    starts = [word.start_s for word in words]
    assert starts == sorted(starts) and all(word.start_s <= word.end_s for word in words)
    return words


async def test_streams_beside_each_other_have_the_words_of_the_package(
    judged: Path, recognizer: PackageRecognizer
) -> None:
    """However the audio is cut; more streams than there are places; some are closed early."""

    async def cancelled() -> None:
        audio = pieces(heard(judged, "louder"), FRAME)
        async with aclosing(recognizer.recognize(audio, None)) as events:
            await anext(events)

    assert words_of(judged, "recording") != words_of(judged, "louder") and len(words_of(judged, "louder")) > 1
    cuts = {"recording": (300, 7 * FRAME + 5), "louder": (FRAME, 10**6)}
    streams = [(name, size) for name, sizes in cuts.items() for size in sizes]
    listening = [recognised(recognizer, heard(judged, name), size) for name, size in streams]
    *_, one, two, three = await asyncio.gather(cancelled(), cancelled(), cancelled(), *listening[:3])
    for (name, _), words in zip(streams, (one, two, three, await listening[3]), strict=True):
        expected = words_of(judged, name)
        assert [word.text for word in words][: len(expected)] == expected


async def test_recording_has_the_words_of_the_package(judged: Path, recognizer: PackageRecognizer) -> None:
    options, audio = TranscriptionOptions(language="fr"), pieces(heard(judged, "louder"), 20_000)
    segments = [one async for one in recognizer.transcribe(audio, options)]
    assert all(one.language == "fr" and one.words for one in segments)
    expected = words_of(judged, "louder")
    assert "".join(one.text for one in segments).split()[: len(expected)] == expected
