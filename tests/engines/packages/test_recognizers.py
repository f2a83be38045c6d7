"""Adapters for recognition by stand-ins for their packages, in a worker; Kyutai's by moshi itself, too."""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from kani.core.audio.pcm import wav
from kani.core.audio.resampling import Resampler
from kani.core.errors import EngineLost, InvalidRequest
from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.espeak.client import EspeakClient
from kani.engines.kyutai.plugin import build as kyutai_recognizer
from kani.engines.packages.recognizer import PackageRecognizer
from kani.engines.plugin import Resources
from kani.engines.plugin_settings import PluginSettings
from kani.engines.transcribe import recognizer as transcribe_recognizer
from tests.clients.kyutai.wire import FRAME, RATE
from tests.engines.packages.life import resources, stand_ins, started, workers
from tests.engines.packages.small_checkpoints import written
from tests.judges.judged import JUDGE_PYTHON, ONE_THREAD, judge, needs, noise
from tests.support.espeak_audio import audio
from tests.support.patience import happens

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]


@cache
def speech() -> Samples:
    """Three seconds that hold a voice, at 16 kHz, and two of silence."""
    client = EspeakClient()
    try:
        made = audio(client, "The old bakery opens early in the morning.", "en")
    finally:
        client.close()
    resampler = Resampler(22_050, 16_000)
    samples = resampler.feed(made.astype(np.float32) / 2**15)
    return np.concatenate((samples, resampler.finish(), np.zeros(32_000, np.float32)))


def bursts() -> Samples:
    """Three loud stretches between silences, at 24 kHz."""
    loud = np.random.default_rng(2).normal(0, 0.3, 3 * 1_920)
    return np.tile(np.concatenate([np.zeros(4 * 1_920), loud, np.zeros(4 * 1_920)]), 3).astype(np.float32)


@dataclass(frozen=True)
class Row:
    """A recogniser, and what it hears."""

    build: Callable[[Path], PackageRecognizer]
    audio: Callable[[], Samples]
    word: str
    languages: frozenset[str]
    wrong: TranscriptionOptions | None = None
    """Options that it refuses, for the reason that follows."""
    reason: str = ""


def kyutai(folder: Path) -> PackageRecognizer:
    return kyutai_recognizer(PluginSettings(), given(folder, "kyutai", written(folder, "kyutai-ears")))


def given(folder: Path, name: str, model: Path, python: str = sys.executable, **more: Any) -> Resources:
    return resources(folder, model=str(model), pythons={name: python}, device="cpu", **more)


def transcribe(folder: Path, language: str | None = None, **about: Any) -> PackageRecognizer:
    (folder / "model.gguf").write_text(json.dumps({"name": "small", "detects": True} | about))
    chosen = given(folder, "transcribe", folder / "model.gguf", threads=1, language=language)
    return transcribe_recognizer.TranscribeRecognizer(PluginSettings(), chosen)


def several(folder: Path, language: str | None = None) -> PackageRecognizer:
    """It has to be told the language."""
    return transcribe(folder, language, languages=SEVERAL, times="segment", detects=False)


SEVERAL, TRANSLATE = ["en-US", "es-ES", "es-US"], TranscriptionOptions(language="en", translate=True)
ROWS = {
    "kyutai": Row(kyutai, bursts, "loud", frozenset({"en", "fr"}), TRANSLATE, "does not translate"),
    "words": Row(
        lambda folder: transcribe(folder, languages=["en"], times="word"),
        speech, "word1", frozenset({"en"}), TRANSLATE, "does not translate into English",
    ),
    "sentences": Row(
        several, speech, "word1", frozenset({"en", "es"}), TranscriptionOptions(), "name one of en, es",
    ),
    "text": Row(
        lambda folder: transcribe(folder, languages=SEVERAL, times="", refuses_language=True),
        speech, "word1", frozenset({"en", "es"}),
    ),
}  # fmt: skip


async def pieces(samples: Samples, size: int = 1_000) -> AsyncIterator[Samples]:
    for at in range(0, len(samples), size):
        yield samples[at : at + size]


@dataclass(frozen=True)
class One:
    """A row's recogniser."""

    row: Row
    recognizer: PackageRecognizer

    async def read(self, **given: Any) -> list[TranscribedSegment]:
        options = TranscriptionOptions(**({"language": "en"} | given))
        audio = pieces(self.row.audio())
        return [one async for one in self.recognizer.transcribe(audio, options)]

    async def live(self, *, killed: bool = False, closed: bool = False) -> list[str]:
        """The words of live speech; it is left, or loses its worker, after the first step."""
        words, steps = list[str](), 0
        async with aclosing(self.recognizer.recognize(pieces(self.row.audio()), "en")) as events:
            async for event in events:
                words += [event.text] if isinstance(event, RecognizedWord) else []
                steps += isinstance(event, Step)
                if closed and steps:
                    return words
                if killed and steps:
                    killed = False
                    for worker in workers():
                        worker.kill()
        seconds = len(self.row.audio()) / self.recognizer.info.sample_rate
        assert steps == pytest.approx(seconds / STEP_S, abs=1)
        return words


@asynccontextmanager
async def running(row: Row, folder: Path) -> AsyncIterator[One]:
    own = transcribe_recognizer.PACKAGE
    any_version = replace(own, environment=replace(own.environment, exact=False))
    with stand_ins(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(transcribe_recognizer, "PACKAGE", any_version)
        async with started(row.build(folder)) as recognizer:
            yield One(row, recognizer)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ROWS)
async def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[One]:
    async with running(ROWS[request.param], tmp_path_factory.mktemp(request.param)) as found:
        yield found


async def test_recordings_and_live_speech_are_heard(one: One) -> None:
    info = one.recognizer.info
    assert info.languages == one.row.languages and not info.recordings_only and info.live_delay_s is not None
    segments = await one.read()
    words = [word for segment in segments for word in segment.words]
    assert len(words) >= 3 and words[0].text.startswith(one.row.word)
    assert "".join(segment.text for segment in segments).split() == [word.text for word in words]
    times = [at for word in words for at in (word.start_s, word.end_s)]
    assert times == sorted(times) and times[-1] <= len(one.row.audio()) / info.sample_rate
    assert {segment.language for segment in segments} == {"en"}
    live = await one.live()
    assert len(live) >= 3 and live[0].startswith(one.row.word)
    # More streams than there are places; some leave early.
    early = (one.live(closed=True) for _ in range(3))
    found = await asyncio.gather(*early, *(one.live() for _ in range(3)), *(one.read() for _ in range(2)))
    assert found[3:6] == [live] * 3 and found[6:] == [segments] * 2
    if one.row.wrong is not None:
        with pytest.raises(InvalidRequest, match=one.row.reason):
            async for _ in one.recognizer.transcribe(pieces(one.row.audio()), one.row.wrong):
                pass


async def test_it_is_killed_and_comes_back(one: One) -> None:
    """A pass over live speech is made again; a session of the package's own is lost."""
    before, (lost,) = await one.read(), workers()
    try:
        assert await one.live(killed=True) and one.row.word != "loud"
    except EngineLost:
        assert one.row.word == "loud"
    assert await one.read() == before and not lost.is_running()


async def test_cancelled_recording_frees_its_copy(tmp_path: Path) -> None:
    async with running(ROWS["words"], tmp_path) as one:
        samples, english = one.row.audio(), TranscriptionOptions(language="en")
        begun = [tmp_path / f"begun{at}" for at in range(one.recognizer._found.settings["copies"])]
        prompts = (replace(english, prompt=str(path)) for path in begun)
        tasks = [asyncio.create_task(one.recognizer.hear(samples, prompt)) for prompt in prompts]
        await happens(lambda: all(path.exists() for path in begun))
        waiting = asyncio.create_task(one.recognizer.hear(samples, english))
        for task in tasks:
            task.cancel()
        assert (await waiting)[0].text.split()[0] == "word1"
        await asyncio.wait(tasks)


@pytest.mark.parametrize(("language", "heard"), [("es", "es"), ("de", None)])
async def test_servers_language_is_told_where_it_is_known(
    tmp_path: Path, language: str, heard: str | None
) -> None:
    row = replace(ROWS["sentences"], build=lambda folder: several(folder, language))
    async with running(row, tmp_path) as one:
        if heard is None:
            with pytest.raises(InvalidRequest, match=row.reason):
                await one.read(language=None)
        else:
            assert {segment.language for segment in await one.read(language=None)} == {heard}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of the true architecture, recordings, and the words that moshi hears in them."""
    needs("moshi")
    environment = ONE_THREAD | {"PYTHONPATH": ""}  # without the stand-ins of the others
    folder = tmp_path_factory.mktemp("judged")
    noise(folder / "quiet.wav", 12 * FRAME, RATE)
    loudness = np.random.default_rng(6).uniform(0, 1, 60)
    louder = np.random.default_rng(5).normal(0, 0.3, 60 * FRAME) * np.repeat(loudness, FRAME)
    (folder / "louder.wav").write_bytes(wav(louder.astype(np.float32), RATE))
    jobs = {name: {"model": "hearing", "recording": f"{name}.wav"} for name in ("quiet", "louder")}
    judge("kyutai_judge.py", folder, jobs, environment)
    return folder


def recorded(folder: Path, name: str) -> tuple[Samples, list[str]]:
    """A recording, and the words that moshi hears in it but for the last, which ends with the silence."""
    words = json.loads((folder / f"{name}.json").read_text("utf-8"))[:-1]
    with wave.open(str(folder / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(-1), "<i2").astype(np.float32) / 2**15, words


async def test_words_are_those_of_the_makers_package(judged: Path, tmp_path: Path) -> None:
    """However the audio is cut; more streams than there are places; some are closed early."""
    built = kyutai_recognizer(PluginSettings(), given(tmp_path, "kyutai", judged / "hearing", JUDGE_PYTHON))
    recordings = {name: recorded(judged, name) for name in ("quiet", "louder")}
    assert recordings["quiet"][1] != recordings["louder"][1] and len(recordings["louder"][1]) > 1

    async def hear(name: str, size: int, *, closed: bool = False) -> None:
        samples, expected = recordings[name]
        words, steps = list[str](), list[int]()
        async with aclosing(recognizer.recognize(pieces(samples, size), None)) as events:
            async for event in events:
                words += [event.text] if isinstance(event, RecognizedWord) else []
                steps += [event.index] if isinstance(event, Step) else []
                if closed:
                    return
        assert words[: len(expected)] == expected and steps == list(range(len(samples) // FRAME))

    with stand_ins(PYTHONPATH="", **ONE_THREAD):
        async with started(built) as recognizer:
            early = (hear("louder", FRAME, closed=True) for _ in range(3))
            cuts = [("quiet", 300), ("quiet", 7 * FRAME + 5), ("louder", FRAME)]
            await asyncio.gather(*early, *(hear(*each) for each in cuts))
            await hear("louder", 10**6)
            samples, expected = recordings["louder"]
            french = TranscriptionOptions(language="fr")
            segments = [one async for one in recognizer.transcribe(pieces(samples, 20_000), french)]
            assert all(one.language == "fr" and one.words for one in segments)
            assert "".join(one.text for one in segments).split()[: len(expected)] == expected
