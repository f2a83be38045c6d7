"""Each package's adapter by a stand-in for the package, in a worker: no torch, and no weights.

What the makers' own packages make of it: ``test_makers_own``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from pydantic import BaseModel

from kani.core.audio.pcm import wav
from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest, NoSpeech, UnknownVoice
from kani.core.types import Boundary, Embedding, Recording, Samples, Sampling, Segment, Span
from kani.engines.kyutai.plugin import SPEECH as KYUTAI
from kani.engines.packages.engine import PackageEngine
from kani.engines.packages.package import Package
from kani.engines.plugin_settings import PluginSettings
from kani.engines.pocket.plugin import PACKAGE as POCKET
from kani.engines.pocket.plugin import PocketSettings
from kani.engines.voxcpm.plugin import PACKAGE as VOXCPM
from kani.engines.voxcpm.plugin import VoxCPMSettings
from kani_text.incremental_text import IncrementalText
from kani_text.normalizer import VERBATIM
from kani_text.segmenter import TextSegment
from tests.engines.packages.life import chunks_of, interrupted, resources, said, stand_ins, started
from tests.engines.packages.small_checkpoints import VOICE, tensor_file, written

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

TEXT, LONG = "one two three", "word " * 70


@dataclass(frozen=True)
class Row:
    """A package, and what differs of it."""

    package: Package
    family: str
    settings: Callable[[Path], BaseModel]
    voice: str
    language: str = "en"
    word_samples: int = 2_560
    more_words: int = 0
    """Words that the audio is longer than its text."""
    changes: tuple[dict[str, Any], ...] = ()
    """Segments that sound otherwise."""
    wrong: tuple[tuple[dict[str, Any], type[Exception], str], ...] = ()
    device: str = "cpu"
    at_once: int = 1
    needs_words: bool = False
    """True if a recording is imitated only with its transcript."""


def options(**given: Any) -> dict[str, Any]:
    return {"options": given}


def bad_option(**given: Any) -> tuple[dict[str, Any], type[Exception], str]:
    return options(**given), InvalidRequest, f"^{next(iter(given))}: "


def voxcpm(folder: Path) -> BaseModel:
    return VoxCPMSettings()


def kyutai(folder: Path) -> BaseModel:
    (folder / VOICE).write_bytes(tensor_file())
    (folder / f"fr-{VOICE}").write_bytes(tensor_file())
    (folder / "own.wav").write_bytes(wav(tone(0.9, 24_000), 24_000))
    return PluginSettings()


WARM = {"sampling": Sampling(seed=5, temperature=0.9)}
TOO_LONG = ({"text": "long " * 500}, InvalidRequest, "^text: ")
NO_RECORDING = (options(prompt_text="words"), InvalidRequest, "^prompt_text: is the transcript")
# fmt: off
NEURAL = Row(
    VOXCPM, "voxcpm", voxcpm, "voxcpm:en",
    changes=(
        options(cfg_value=3.5), options(inference_timesteps=3), options(retry_badcase=True),
        options(retry_badcase=True, retry_badcase_max_times=1),
    ),
    wrong=(TOO_LONG, NO_RECORDING, bad_option(cfg_value=11.0), bad_option(inference_timesteps=2.0)),
)
CLEO = ({"voice": "kyutai:cleo.wav"}, UnknownVoice, "cleo")
MOSHI = Row(
    KYUTAI, "kyutai", kyutai, "kyutai:ana.wav", word_samples=3_840, more_words=1, at_once=2,
    changes=(WARM, options(cfg_alpha=3.0)),
    wrong=(bad_option(cfg_alpha=1.5), bad_option(cfg_alpha="2"), CLEO),
)
ROWS = {
    "pocket": Row(
        POCKET, "pocket",
        lambda folder: PocketSettings(languages=("de", "nl")),
        "pocket:juergen", "de", word_samples=1_920, changes=(WARM,),
        wrong=(
            ({"language": "fr"}, EngineFailed, "no model of fr"),
            ({"text": "(„“)"}, EngineFailed, "was no voice"),
        ),
    ),
    "voxcpm": replace(NEURAL, family="voxcpm-old", needs_words=True),
    "voxcpm2": NEURAL,
    "nano-vllm": replace(
        NEURAL, device="auto", at_once=64, changes=(),
        wrong=(TOO_LONG, NO_RECORDING, bad_option(cfg_value=0.05)),
    ),
    "kyutai": MOSHI,
    "kyutai-prefix": replace(
        MOSHI, family="kyutai-prefix", voice="kyutai:en", changes=(WARM, {"voice": "kyutai:own.wav"}),
        wrong=(CLEO,),
    ),
}
# fmt: on


@dataclass(frozen=True)
class One:
    """A row's engine."""

    row: Row
    engine: PackageEngine

    def segment(self, text: str = TEXT, **changed: Any) -> Segment:
        made = Segment(text, self.row.voice, self.row.language, sampling=Sampling(seed=5))
        return replace(made, **changed)

    def cloned(self, embedding: Embedding, **changed: Any) -> Segment:
        given = options(prompt_text="its words") if self.row.needs_words else {}
        return self.segment(embedding=embedding, **given, **changed)

    async def embedded(self, level: float) -> Embedding:
        return await self.engine.embed(Recording(tone(level, 16_000), 16_000))


def tone(level: float, rate: int, seconds: float = 2.0) -> Samples:
    times = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * 200 * times)).astype(np.float32)


@asynccontextmanager
async def running(row: Row, folder: Path) -> AsyncIterator[One]:
    with stand_ins():
        checkpoint = written(folder, row.family)
        given = resources(
            folder,
            model=str(checkpoint),
            voices=str(checkpoint),
            pythons={row.package.name: sys.executable},
            device=row.device,
            threads=1,
            max_concurrent=row.at_once,
        )
        engine = PackageEngine(row.package, row.settings(checkpoint), given)
        async with started(engine):
            yield One(row, engine)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ROWS)
async def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[One]:
    async with running(ROWS[request.param], tmp_path_factory.mktemp(request.param)) as found:
        yield found


def same(one: Samples, other: Samples) -> bool:
    return len(one) == len(other) and bool(np.abs(one - other).max() < 1e-6)


async def test_text_is_spoken_with_its_seed(one: One) -> None:
    info = one.engine.info
    assert {one.row.voice, *info.default_voices.values()} <= {voice.id for voice in info.voices}
    assert info.max_concurrency == one.row.at_once
    unused = {"denoise"} | ({"cfg_alpha"} if one.row.family == "kyutai-prefix" else set())
    assert not unused & info.supported_fields and "seed" in info.supported_fields
    chunks = await chunks_of(one.engine, one.segment())
    first = np.concatenate([chunk.samples for chunk in chunks])
    assert len(first) == (3 + one.row.more_words) * one.row.word_samples
    assert chunks[0].sample_rate == one.engine.info.sample_rate and len(chunks) > 2
    spans = [span for chunk in chunks for span in chunk.spans]
    if one.engine.info.times_words:
        assert [TEXT[span.start : span.end] for span in spans] == TEXT.split()
        assert [span.start_s for span in spans] == pytest.approx([0.0, 0.16, 0.32])
    else:
        assert spans == [Span(0, len(TEXT), 0.0, chunks[-1].end_s)]
    assert same(first, await said(one.engine, one.segment()))
    assert not same(first, await said(one.engine, one.segment(sampling=Sampling(seed=6))))
    unseeded = one.segment(sampling=Sampling())
    assert not same(await said(one.engine, unseeded), await said(one.engine, unseeded))


async def test_settings_of_a_request_change_it_and_wrong_ones_are_refused(one: One) -> None:
    found = [await said(one.engine, one.segment(**changed)) for changed in ({}, *one.row.changes)]
    assert len({each.tobytes() for each in found}) == 1 + len(one.row.changes)
    for changed, kind, reason in one.row.wrong:
        with pytest.raises(kind, match=reason):
            await said(one.engine, one.segment(**changed))
    chunks = await chunks_of(one.engine, one.segment("word " * 60, max_seconds=2.0))
    assert 2.0 < chunks[-1].end_s < 2.5


async def test_segments_beside_each_other_are_as_by_themselves(one: One) -> None:
    """More than its places, some of them cancelled."""
    segments = [one.segment(sampling=Sampling(seed=seed)) for seed in range(1, 6)]
    apart = [await said(one.engine, each) for each in segments]
    gone = (interrupted(one.engine, one.segment(LONG), killed=False) for _ in range(3))
    together = await asyncio.gather(*gone, *(said(one.engine, each) for each in segments))
    assert all(same(*pair) for pair in zip(apart, together[3:], strict=True))


async def test_it_is_killed_and_comes_back(one: One) -> None:
    before = await said(one.engine, one.segment())
    await interrupted(one.engine, one.segment(LONG), killed=True)
    assert same(before, await said(one.engine, one.segment()))


async def test_recording_is_imitated_and_bad_ones_are_refused(one: One) -> None:
    if one.engine.info.cloning.kind == "none":
        with pytest.raises(InvalidRequest, match="another model"):
            made = Embedding(one.engine.info.name, "another", np.zeros(4, np.float32))
            await said(one.engine, one.segment(embedding=made))
        return
    quiet, loud = await one.embedded(0.1), await one.embedded(0.9)
    found = [await said(one.engine, one.cloned(each)) for each in (quiet, loud, quiet)]
    assert found[1].std() > 1.5 * found[0].std() and same(found[0], found[2])
    silence = Recording(np.zeros(16_000, np.float32), 16_000)
    with pytest.raises(NoSpeech):
        await one.engine.embed(silence)
    most = one.row.package.recording_s
    whole = tone(0.5, 16_000, 2 * most)
    parts = (whole, whole[: round(most * 16_000)])
    long, short = [await one.engine.embed(Recording(each, 16_000)) for each in parts]
    assert np.array_equal(long.values, short.values)
    values = quiet.values.copy()
    values[1] = np.nan
    # A part of a frame; more than a recording has; codes that there are not.
    others = [values, values[:0], quiet.values[1:]]
    others += [np.tile(quiet.values, 60)] if one.row.package is not VOXCPM or one.row.needs_words else []
    others += [quiet.values - 1e6, quiet.values + 1e6] if one.row.package is KYUTAI else []
    for bad in ({"model": "another"}, {"engine": "kani"}, *({"values": each} for each in others)):
        with pytest.raises(InvalidRequest, match=r"^reference: "):
            await said(one.engine, one.cloned(replace(quiet, **bad)))
    if one.row.needs_words:
        with pytest.raises(InvalidRequest, match=r"^prompt_text: .*words that are spoken"):
            await said(one.engine, one.segment(embedding=quiet))


async def test_session_keeps_the_voice_of_its_first_segment(one: One) -> None:
    plain = await said(one.engine, one.segment())
    first = await said(one.engine, one.segment(session="one"))
    next_ = await said(one.engine, one.segment(session="one"))
    other = await said(one.engine, one.segment(session="two"))
    assert same(first, plain) and same(other, plain)
    assert same(next_, plain) != one.engine.info.voice_rules.kept


async def test_text_that_is_still_written_is_spoken_as_a_whole_one(one: One) -> None:
    """More texts at once than there are places; each has its next word when the engine asks for it."""
    if not one.engine.info.accepts_partial_text:
        return
    sentence = "one two three four five six seven"

    async def written_() -> tuple[Samples, list[Span], bool]:
        words = iter(sentence.split())

        @asynccontextmanager
        async def grow() -> AsyncIterator[None]:
            word = next(words, None)
            text.close(Boundary.SENTENCE) if word is None else text.extend(f" {word}")
            yield

        text = IncrementalText(TextSegment(0, next(words)), grow, VERBATIM)
        made, early = [], False
        async with aclosing(one.engine.stream(one.segment(text.text), text)) as chunks:
            async for chunk in chunks:
                early = early or text.boundary is None
                made.append(chunk)
        spans = [span for chunk in made for span in chunk.spans]
        return np.concatenate([chunk.samples for chunk in made]), spans, early

    chunks = await chunks_of(one.engine, one.segment(sentence))
    spans = [span for chunk in chunks for span in chunk.spans]
    found = await asyncio.gather(*(written_() for _ in range(3)))
    for samples, timed, _ in found:
        assert same(samples, np.concatenate([chunk.samples for chunk in chunks])) and timed == spans
    # The third one waited for its end, so that the others could go on.
    assert [early for *_, early in found] == [True, True, False]


async def test_package_that_lost_its_own_process_is_started_again(tmp_path: Path) -> None:
    async with running(ROWS["nano-vllm"], tmp_path) as one:
        with pytest.raises(EngineFailed, match="lost"):
            await said(one.engine, one.segment("die"))
        assert len(await said(one.engine, one.segment())) > 0


async def test_cuda_device_of_the_settings_is_used(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"cannot load its model: no CUDA device 1.*--fetch --engine"):
        async with running(replace(ROWS["nano-vllm"], device="cuda:1"), tmp_path):
            pass
