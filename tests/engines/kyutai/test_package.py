"""Kyutai's models beside the makers' package: tiny random checkpoints of the true architectures.

Workers in the judges' environment speak and hear; samples and words are those of the package's own calls.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from safetensors.numpy import load_file, save_file

from kani.core.audio.pcm import wav
from kani.core.errors import InvalidRequest, UnknownVoice
from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Boundary, Embedding, OptionValue, Recording, Samples, Sampling, Segment, Span
from kani.engines.kyutai import plugin
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.packages.engine import PackageEngine
from kani.engines.packages.recognizer import PackageRecognizer
from kani.engines.packages.speaking import AUDIBLE
from kani.engines.plugin import Resources
from kani.engines.registry import Registry
from kani.engines.restarts import Restarts
from kani.runtime.silence_trim import KEPT_SILENCE_S, SilenceTrimmer
from kani.text.incremental_text import IncrementalText
from kani.text.normalizer import VERBATIM
from kani.text.segmenter import TextSegment
from tests.clients.kyutai.speaking import Heard, opened, say
from tests.clients.kyutai.wire import FRAME, text_message
from tests.judges import judged as support
from tests.judges.judged import JUDGE_PYTHON, ONE_THREAD, judge, needs, noise

pytestmark = pytest.mark.server

RATE, ANA, BEA = 24_000, "ana.wav", "fr/bea.wav"
LOUDER = np.random.default_rng(5).normal(0, 0.3, 60 * FRAME).astype(np.float32)
PLAIN = "Well, it is the quick brown fox, and one, two, three more"
SECOND = "No? It is so"
TEXT = "Well, it’s the quick (brown) fox: one, two. Three"
EMBEDDED, RECORDED, HEARING = "embedding", "prefix", "hearing"

# Calls by name: what differs from the first.
ASKED: dict[str, dict[str, Any]] = {
    "plain": {"model": EMBEDDED, "voice": ANA, "text": PLAIN, "seed": 5, "cfg": 2.0, "temperature": 0.6},
    "marks": {"text": TEXT},
    "seed": {"seed": 6},
    "voice": {"voice": BEA},
    "cfg": {"cfg": 3.0},
    "temperature": {"temperature": 0.9},
    "greedy": {"temperature": 0.0},
    "word": {"text": "No?"},
    "recording": {"model": RECORDED, "voice": "recording.wav"},
    "continued": {"model": RECORDED, "voice": "recording.wav", "text": [PLAIN, SECOND]},
    "heard": {"model": HEARING},
    "heard louder": {"model": HEARING, "recording": "louder.wav"},
}


@dataclass(frozen=True)
class Judged:
    """Speech of the package by name, and its checkpoints."""

    folder: Path
    recording: Recording

    def words(self, name: str) -> list[str]:
        """Words that the package hears, but for the last, which ends with the silence."""
        return cast(list[str], json.loads((self.folder / f"{name}.json").read_text("utf-8")))[:-1]

    def heard(self, name: str) -> Samples:
        """The recording of a job that hears."""
        with wave.open(str(self.folder / ASKED[name].get("recording", "recording.wav"))) as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 2**15

    def said(self, name: str) -> tuple[Samples, list[float]]:
        """Samples without the silence around them, and the seconds that the words begin at."""
        found = np.load(self.folder / f"{name}.npz")
        samples, trim = found["samples"], SilenceTrimmer(RATE, AUDIBLE)
        audible = int(np.argmax(np.abs(samples) >= AUDIBLE))
        dropped_s = max(audible / RATE - KEPT_SILENCE_S, 0.0)
        starts = [max((step - 2 - found["frames"]) * STEP_S - dropped_s, 0.0) for step in found["steps"]]
        return np.concatenate((trim.feed(samples), trim.finish())), starts


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    needs("moshi")
    folder = tmp_path_factory.mktemp("judged")
    recording = noise(folder / "recording.wav", 12 * FRAME, RATE)
    louder = LOUDER * np.repeat(np.random.default_rng(6).uniform(0, 1, 60), FRAME).astype(np.float32)
    (folder / "louder.wav").write_bytes(wav(louder, RATE))
    jobs = {name: ASKED["plain"] | {"recording": "recording.wav"} | asked for name, asked in ASKED.items()}
    for job in jobs.values():
        if job["model"] == EMBEDDED:
            job["voice"] = f"voices/{job['voice']}.random@1.safetensors"
    judge("kyutai_judge.py", folder, jobs, ONE_THREAD)
    return Judged(folder, recording)


class Running(support.Running[PackageEngine]):
    def speak(self, text: str = PLAIN, **asked: Any) -> tuple[Samples, list[Span]]:
        """Speak one segment by the engine itself."""
        return cast(tuple[Samples, list[Span]], self.run(spoken(self.engine, text, **asked)))


async def spoken(
    engine: PackageEngine,
    text: str,
    *,
    voice: str = f"kyutai:{ANA}",
    seed: int = 5,
    temperature: float | None = None,
    embedding: Embedding | None = None,
    session: str = "",
    **options: OptionValue,
) -> tuple[Samples, list[Span]]:
    sampling = Sampling(seed=seed, temperature=temperature)
    segment = Segment(
        text, voice, "en", sampling=sampling, embedding=embedding, options=options, session=session
    )
    async with aclosing(engine.synthesize(segment)) as chunks:
        made = [chunk async for chunk in chunks]
    return np.concatenate([chunk.samples for chunk in made]), [span for chunk in made for span in chunk.spans]


@pytest.fixture(scope="module")
def running(judged: Judged, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    shared = {"KANI_ENGINE": "kyutai", "KANI_KYUTAI_PYTHON": JUDGE_PYTHON}
    settings = {
        model: shared
        | {
            "KANI_KYUTAI_MODEL": str(judged.folder / model),
            "KANI_KYUTAI_SLOTS": slots,
            "KANI_KYUTAI_VOICES": str(judged.folder / voices),
        }
        for model, slots, voices in ((EMBEDDED, "2", "voices"), (RECORDED, "1", ""))
    }
    with support.running(tmp_path_factory, settings, ONE_THREAD) as found:
        yield {model: Running(one.app, one.engine) for model, one in found.items()}


def assert_same(samples: Samples, expected: Samples) -> None:
    assert len(samples) == len(expected) > 5_000
    assert np.abs(samples - expected).max() <= 1e-3


@pytest.mark.parametrize(
    "name", [name for name, asked in ASKED.items() if "model" not in asked or name == "plain"]
)
def test_segment_is_spoken_as_by_the_package(judged: Judged, running: dict[str, Running], name: str) -> None:
    """Samples and the times of the words."""
    asked = ASKED["plain"] | ASKED[name]
    options = {"cfg_alpha": asked["cfg"]} if name == "cfg" else {}
    samples, spans = running[EMBEDDED].speak(
        asked["text"],
        voice=f"kyutai:{asked['voice']}",
        seed=asked["seed"],
        temperature=asked["temperature"],
        **options,
    )
    expected, starts = judged.said(name)
    assert_same(samples, expected)
    words = [asked["text"][span.start : span.end] for span in spans]
    assert words == asked["text"].replace(":", "").split()
    assert [span.start_s for span in spans] == pytest.approx(starts, abs=2e-4)
    assert all(one.end_s == other.start_s for one, other in pairwise(spans))
    assert spans[-1].end_s == pytest.approx(len(samples) / RATE)


def test_parameters_change_what_is_spoken(judged: Judged) -> None:
    """The comparisons above would otherwise prove nothing."""
    spoken = [name for name, asked in ASKED.items() if asked.get("model") != HEARING]
    assert len({judged.said(name)[0].tobytes() for name in spoken}) == len(spoken)
    assert judged.words("heard") != judged.words("heard louder") and len(judged.words("heard louder")) > 1


def test_recording_is_continued_as_by_the_package(judged: Judged, running: dict[str, Running]) -> None:
    """By two passes for each step; a request's recording, and one of the folder."""
    running_ = running[RECORDED]
    assert running_.engine.info.cloning == "embedding"
    embedding = running_.run(running_.engine.embed(judged.recording))
    expected, starts = judged.said("recording")
    for given in ({"voice": "kyutai:en", "embedding": embedding}, {"voice": "kyutai:recording.wav"}):
        samples, spans = running_.speak(**given)
        assert_same(samples, expected)
        assert [span.start_s for span in spans] == pytest.approx(starts, abs=2e-4)


def test_next_segment_continues_the_voice_that_the_model_chose(
    judged: Judged, running: dict[str, Running]
) -> None:
    """Of its own session only."""
    running_ = running[RECORDED]
    first, _ = running_.speak(voice="kyutai:en", session="one")
    samples, spans = running_.speak(SECOND, voice="kyutai:en", session="one")
    expected, starts = judged.said("continued")
    assert_same(samples, expected)
    assert [span.start_s for span in spans] == pytest.approx(starts, abs=2e-4)
    other, _ = running_.speak(voice="kyutai:en", session="two")
    assert np.abs(other - first).max() <= 1e-3
    alone, _ = running_.speak(SECOND, voice="kyutai:en", session="three")
    assert len(alone) != len(samples) or np.abs(alone - samples).max() > 0.01


def test_streams_beside_each_other_speak_as_they_do_alone(
    judged: Judged, running: dict[str, Running]
) -> None:
    """More than there are slots, each with its own seed; one is closed early."""
    engine = running[EMBEDDED].engine

    async def together() -> list[tuple[Samples, list[Span]]]:
        segment = Segment(PLAIN, f"kyutai:{BEA}", "en", sampling=Sampling(seed=1))
        others = asyncio.gather(*(spoken(engine, PLAIN, seed=seed) for seed in (5, 6, 5)))
        async with aclosing(engine.synthesize(segment)) as chunks:
            async for _ in chunks:
                break
        return [*await others, await spoken(engine, "No?")]

    expected = [judged.said(name)[0] for name in ("plain", "seed", "plain", "word")]
    for (samples, _), wanted in zip(running[EMBEDDED].run(together()), expected, strict=True):
        assert_same(samples, wanted)


async def test_text_is_spoken_through_the_socket_as_by_the_package(
    judged: Judged, running: dict[str, Running]
) -> None:
    """Kyutai's own, by the published name of the voice; each word has its times."""
    expected, starts = judged.said("plain")
    heard = await say(running[EMBEDDED].app, PLAIN, voice=ANA, seed="5", cfg_alpha="2", language="en")
    assert_same(heard.samples[: len(expected)], expected)
    assert heard.said == PLAIN.split()
    assert [start for _, start, _ in heard.words[:-1]] == pytest.approx(starts, abs=2e-4)


def test_text_that_is_still_written_is_spoken_as_a_whole_one(running: dict[str, Running]) -> None:
    """More texts at once than there are slots; each has its next word when the engine asks for it."""
    engine = running[EMBEDDED].engine
    sentence = "one two three four five six seven " * 3

    async def written() -> tuple[Samples, list[Span], bool]:
        words = iter(sentence.split())

        @asynccontextmanager
        async def grow() -> AsyncIterator[None]:
            word = next(words, None)
            if word is None:
                text.close(Boundary.SENTENCE)
            else:
                text.extend(f" {word}")
            yield

        text = IncrementalText(TextSegment(0, next(words)), grow, VERBATIM)
        segment = Segment(text.text, f"kyutai:{ANA}", "en", sampling=Sampling(seed=5))
        made, early = [], False
        async with aclosing(engine.stream(segment, text)) as chunks:
            async for chunk in chunks:
                early = early or text.boundary is None
                made.append(chunk)
        spans = [span for chunk in made for span in chunk.spans]
        return np.concatenate([chunk.samples for chunk in made]), spans, early

    async def together() -> list[tuple[Samples, list[Span], bool]]:
        return await asyncio.gather(*(written() for _ in range(3)))

    expected, spans = running[EMBEDDED].speak(sentence.strip())
    found = running[EMBEDDED].run(together())
    for samples, timed, _ in found:
        assert_same(samples, expected)
        assert timed == spans
    # The third one waited for its end, so that the others could go on.
    assert [early for *_, early in found] == [True, True, False]


async def test_cancelled_streams_free_the_engine(judged: Judged, running: dict[str, Running]) -> None:
    """More of them than the batch has rows."""
    app = running[EMBEDDED].app
    for _ in range(6):
        async with opened(app, voice=ANA, language="en") as websocket:
            await websocket.send(text_message(" ".join([PLAIN] * 20)))
            heard = Heard()
            while not heard.frames:
                await heard.take(websocket)
    assert_same(running[EMBEDDED].speak()[0], judged.said("plain")[0])


def test_guidance_that_the_model_does_not_have_is_named(running: dict[str, Running]) -> None:
    with pytest.raises(InvalidRequest, match=r"^cfg_alpha: 1\.5 is none of this model's \(1, 2, 3\)"):
        running[EMBEDDED].speak(cfg_alpha=1.5)
    used = {name: one.engine.info.supported_fields for name, one in running.items()}
    assert "cfg_alpha" in used[EMBEDDED] and "cfg_alpha" not in used[RECORDED]


@pytest.mark.parametrize("spoilt", ["negative", "unknown code", "not finite", "half a frame", "too long"])
def test_embedding_of_a_client_is_checked(judged: Judged, running: dict[str, Running], spoilt: str) -> None:
    """Codes that the model lacks would fail in its batch, with all streams."""
    running_ = running[RECORDED]
    embedding = running_.run(running_.engine.embed(judged.recording))
    values = embedding.values.copy()
    match spoilt:
        case "half a frame":
            values = values[:-1]
        case "too long":
            values = np.tile(values, 1 + round(11 / STEP_S))
        case _:
            values[3] = {"negative": -1, "unknown code": 1e6, "not finite": np.nan}[spoilt]
    with pytest.raises(InvalidRequest, match=r"^reference: the embedding is not one of this model"):
        running_.speak(voice="kyutai:en", embedding=replace(embedding, values=values))


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "missing": (lambda weights: weights.pop("text_linear.weight"), "text_linear.weight"),
    "infinite": (
        lambda weights: weights["text_linear.weight"].fill(np.inf),
        "text_linear.weight has NaN or inf",
    ),
}


def test_damaged_weights_are_named_with_the_cure(judged: Judged, tmp_path: Path) -> None:
    """The package by itself raises errors of many types."""
    for name, (spoil, _) in DAMAGES.items():
        shutil.copytree(judged.folder / RECORDED, tmp_path / name)
        weights = load_file(tmp_path / name / "model.safetensors")
        spoil(weights)
        save_file(weights, tmp_path / name / "model.safetensors")
    code = (
        "import asyncio, sys; from pathlib import Path; from kani.core.errors import EngineUnavailable\n"
        "from kani.engines.packages.hosting import Adapted; from kani.engines.plugin import Resources\n"
        "for folder in sys.argv[1:]:\n"
        "    given = {'folder': folder}, Resources(Path(folder), device='cpu')\n"
        "    adapted = Adapted('kani.engines.kyutai.speech:KyutaiSpeech', *given)\n"
        "    try: asyncio.run(adapted.load())\n"
        "    except EngineUnavailable as error: print(error)"
    )
    folders = [str(tmp_path / name) for name in DAMAGES]
    done = subprocess.run(
        [JUDGE_PYTHON, "-c", code, *folders],
        cwd=Path(__file__).parents[3],
        env=os.environ | ONE_THREAD,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(DAMAGES), done.stderr
    for line, (name, (_, reason)) in zip(lines, DAMAGES.items(), strict=True):
        assert str(tmp_path / name) in line and reason in line and "(KANI_KYUTAI_MODEL)" in line


def test_published_voices_have_their_names(running: dict[str, Running]) -> None:
    info = running[EMBEDDED].engine.info
    assert [(voice.id, voice.language) for voice in info.voices] == [
        (f"kyutai:{ANA}", "en"),
        (f"kyutai:{BEA}", "fr"),
    ]
    assert "kyutai:recording.wav" in {voice.id for voice in running[RECORDED].engine.info.voices}
    with pytest.raises(UnknownVoice):
        running[EMBEDDED].speak(voice="kyutai:cleo.wav")
    assert info.default_voices == {"en": f"kyutai:{ANA}", "fr": f"kyutai:{BEA}"}
    assert info.cloning == "none"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer(
    judged: Judged, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PackageRecognizer]:
    folder, registry = tmp_path_factory.mktemp(HEARING), CollectorRegistry()
    host = Registry(lambda model: model(), Resources(folder), registry, Restarts(registry))
    settings = KyutaiSettings(model=str(judged.folder / HEARING), slots=3, python=JUDGE_PYTHON)
    built = plugin.build(settings, Resources(folder, device="cpu", host=host))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ONE_THREAD.items():
            patch.setenv(name, value)
        await built.start()
    yield built
    await built.stop()


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


@pytest.mark.asyncio(loop_scope="module")
async def test_streams_beside_each_other_have_the_words_of_the_package(
    judged: Judged, recognizer: PackageRecognizer
) -> None:
    """However the audio is cut; more streams than there are places; some are closed early."""

    async def cancelled() -> None:
        audio = pieces(judged.heard("heard louder"), FRAME)
        async with aclosing(recognizer.recognize(audio, None)) as events:
            await anext(events)

    cuts = {"heard": (300, 7 * FRAME + 5), "heard louder": (FRAME, 10**6)}
    streams = [(name, size) for name, sizes in cuts.items() for size in sizes]
    listening = [recognised(recognizer, judged.heard(name), size) for name, size in streams]
    *_, one, two, three = await asyncio.gather(cancelled(), cancelled(), cancelled(), *listening[:3])
    for (name, _), words in zip(streams, (one, two, three, await listening[3]), strict=True):
        expected = judged.words(name)
        assert [word.text for word in words][: len(expected)] == expected


@pytest.mark.asyncio(loop_scope="module")
async def test_recording_has_the_words_of_the_package(judged: Judged, recognizer: PackageRecognizer) -> None:
    options, audio = TranscriptionOptions(language="fr"), pieces(judged.heard("heard louder"), 20_000)
    segments = [one async for one in recognizer.transcribe(audio, options)]
    assert all(one.language == "fr" and one.words for one in segments)
    expected = judged.words("heard louder")
    assert "".join(one.text for one in segments).split()[: len(expected)] == expected
