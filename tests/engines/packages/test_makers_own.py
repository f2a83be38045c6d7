"""Speech beside the makers' own packages: tiny random checkpoints of the true architectures.

Workers in the judges' environment speak what the packages' own calls do. Pocket TTS's and Kyutai's samples
differ in the last bits: as many frames as there are are decoded at once, and so are rounded in other ways.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from pydantic import BaseModel

from kani.core.audio.pcm import wav
from kani.core.errors import EngineUnavailable
from kani.core.recognizer import STEP_S
from kani.core.types import Recording, Samples, Sampling, Segment
from kani.engines.kyutai.plugin import SPEECH as KYUTAI
from kani.engines.packages.engine import PackageEngine
from kani.engines.packages.package import Package
from kani.engines.plugin_settings import PluginSettings
from kani.engines.pocket.plugin import PACKAGE as POCKET
from kani.engines.pocket.plugin import PocketSettings
from kani.engines.voxcpm.plugin import PACKAGE as VOXCPM
from kani.engines.voxcpm.plugin import VoxCPMSettings
from kani.runtime.silence_trim import AUDIBLE, KEPT_SILENCE_S, SilenceTrimmer
from tests.engines.checkpoints import Damage, changed
from tests.engines.packages.life import chunks_of, interrupted, resources, started, workers
from tests.judges.judged import JUDGE_PYTHON, JUDGES, ONE_THREAD, judge, needs, noise

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

WORDS = "These are its words. "
PLAIN, FOX = "Well, it is the quick brown fox, and one, two, three more", "No? It is so"
DE = "Wie geht es dir heute; mein Freund? Das ist ein langer Satz, der nicht gleich endet, und noch einer."
RETRIED = {"streaming": False, "retry_badcase": True, "retry_badcase_ratio_threshold": 1.0}
WITH_WORDS = {"prompt_wav_path": "recording.wav", "prompt_text": WORDS}
ENVIRONMENT = ONE_THREAD | {"PYTHONPATH": str(JUDGES / "voxcpm_stand_ins"), "TQDM_DISABLE": "1"}


Given = tuple[BaseModel, dict[str, Any]]
"""Settings of an engine, and those of its ``Resources``."""


@dataclass(frozen=True)
class Family:
    """A maker's package, its judge, and the calls that are compared, by their names."""

    module: str
    package: Package
    rate: int
    tolerance: float
    shared: dict[str, Any]
    """Arguments of every call."""
    calls: dict[str, dict[str, Any]]
    settings: dict[str, Callable[[Path], Given]]
    """Parts that the engines are built from, by the name that ``engine_of`` returns."""
    engine_of: Callable[[dict[str, Any]], str]
    segment_of: Callable[[dict[str, Any]], Segment]
    recorded: str = "recording"
    """Argument of a call that imitates the recording."""

    def engine(self, given: Given, folder: Path, **more: Any) -> PackageEngine:
        settings, chosen = given
        pythons = {self.package.name: JUDGE_PYTHON}
        return PackageEngine(
            self.package, settings, resources(folder, device="cpu", pythons=pythons, **chosen, **more)
        )


def pocket(folder: Path, *languages: str) -> Given:
    return PocketSettings(languages=languages), {"model": str(folder)}


def pocket_segment(call: dict[str, Any]) -> Segment:
    voice, language = ("pocket:daan", "nl-BE") if "language" in call else ("pocket:juergen", "de")
    sampling = Sampling(seed=5, temperature=call.get("temperature"))
    return Segment(call["text"], voice, language, sampling=sampling)


def voxcpm_segment(call: dict[str, Any]) -> Segment:
    own = ("cfg", "inf", "retry", "prompt_t")
    options = {name: value for name, value in call.items() if name.startswith(own)}
    return Segment("", "voxcpm:en", "en", sampling=Sampling(seed=5), options=options)


def kyutai(folder: Path, model: str, voices: str) -> Given:
    return PluginSettings(), {"model": str(folder / model), "voices": str(folder / voices)}


def kyutai_segment(call: dict[str, Any]) -> Segment:
    name = Path(call["voice"]).name.removesuffix(".random@1.safetensors")
    voice = "kyutai:fr/bea.wav" if name.startswith("bea") else f"kyutai:{name}"
    options = {"cfg_alpha": call["cfg"]} if call["cfg"] != 2.0 else {}
    sampling = Sampling(seed=call["seed"], temperature=call["temperature"])
    voice = "kyutai:en" if isinstance(call["text"], list) else voice
    return Segment("", voice, "en", sampling=sampling, options=options)


ANA, BEA = (f"voices/{name}.wav.random@1.safetensors" for name in ("ana", "fr/bea"))
PREFIX = {"model": "prefix", "voice": "recording.wav"}
VOXCPM_CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cfg": {"cfg_value": 3.5},
    "few_steps": {"inference_timesteps": 3},
    "short": {"retry_badcase_ratio_threshold": 3.0},
    "whole": {"streaming": False, "retry_badcase": False},
    "retried": RETRIED,
    "retried_once": RETRIED | {"retry_badcase_max_times": 1},
    "continued": {"text": ["Hi.", "So."]},
    "cloned": WITH_WORDS,
}
FAMILIES = {
    "pocket": Family(
        "pocket_tts", POCKET, 24_000, 1e-4,
        {"text": "guten Morgen", "seed": 5},
        {
            "plain": {},
            "warm": {"temperature": 0.9},
            "long": {"text": DE},
            "dutch": {"text": "Goedemorgen!", "language": "dutch"},
            "int8": {"int8": True},
            "cloned": {"recording": "recording.wav"},
        },
        {
            "float32": lambda folder: pocket(folder, "de", "nl"),
            "int8": lambda folder: pocket(folder, "de"),
        },
        lambda call: "int8" if "int8" in call else "float32",
        pocket_segment,
    ),
    "voxcpm": Family(
        "voxcpm", VOXCPM, 16_000, 0.0,
        {"text": "Hi.", "streaming": True, "seed": 5},
        {
            f"{architecture} {name}": {"architecture": architecture} | call
            for architecture in ("voxcpm", "voxcpm2")
            for name, call in VOXCPM_CALLS.items()
        }
        | {"voxcpm2 reference": {"architecture": "voxcpm2", "reference_wav_path": "padded.wav"}},
        {
            name: lambda folder, name=name: (VoxCPMSettings(), {"model": str(folder / name)})
            for name in ("voxcpm", "voxcpm2")
        },
        lambda call: call["architecture"],
        voxcpm_segment,
        "_wav_path",
    ),
    "kyutai": Family(
        "moshi", KYUTAI, 24_000, 1e-3,
        {"model": "embedding", "voice": ANA, "text": PLAIN, "seed": 5, "cfg": 2.0, "temperature": 0.6},
        {
            "plain": {},
            "marks": {"text": "Well, it’s the quick (brown) fox: one, two. Three"},
            "seed": {"seed": 6},
            "voice": {"voice": BEA},
            "cfg": {"cfg": 3.0},
            "temperature": {"temperature": 0.9},
            "greedy": {"temperature": 0.0},
            "word": {"text": "No?"},
            "recording": PREFIX,
            "continued": PREFIX | {"text": [PLAIN, FOX]},
        },
        {
            "embedding": lambda folder: kyutai(folder, "embedding", "voices"),
            "prefix": lambda folder: kyutai(folder, "prefix", ""),
        },
        lambda call: call["model"],
        kyutai_segment,
        "no such",
    ),
}  # fmt: skip
CALLS = [(family, name) for family, found in FAMILIES.items() for name in found.calls]


@dataclass(frozen=True)
class Judged:
    """Speech of a package by name, its checkpoints, and its engines."""

    family: Family
    folder: Path
    recording: Recording
    engines: dict[str, PackageEngine]

    def call(self, name: str) -> dict[str, Any]:
        return self.family.shared | self.family.calls[name]

    def expected(self, name: str) -> tuple[Samples, list[float]]:
        """Speech of the package, without the silence around it, and the seconds that words begin at."""
        rate, trim, starts = self.family.rate, SilenceTrimmer(self.family.rate, AUDIBLE), list[float]()
        samples = np.load(next(self.folder.glob(f"{name}.np?")))
        if isinstance(samples, np.lib.npyio.NpzFile):
            steps, samples = samples["steps"] - 2 - samples["frames"], samples["samples"]
            dropped_s = max(int(np.argmax(np.abs(samples) >= AUDIBLE)) / rate - KEPT_SILENCE_S, 0.0)
            starts = [max(step * STEP_S - dropped_s, 0.0) for step in steps]
        return np.concatenate((trim.feed(samples), trim.finish())), starts

    def same(self, one: Samples, name: str) -> bool:
        other = self.expected(name)[0]
        return len(one) == len(other) and bool(np.abs(one - other).max() <= self.family.tolerance)

    async def spoken(self, name: str, **changed: Any) -> tuple[Samples, list[float]]:
        """Speech of the engine for a call: of two texts the second one, in the session of the first."""
        call = self.call(name)
        engine = self.engines[self.family.engine_of(call)]
        segment = replace(self.family.segment_of(call), **changed)
        if any(key.endswith(self.family.recorded) for key in call):
            segment = replace(segment, embedding=await engine.embed(self.recording))
        texts = call["text"] if isinstance(call["text"], list) else [call["text"]]
        for text in texts:
            chunks = await chunks_of(engine, replace(segment, text=text, session=name * (len(texts) > 1)))
        samples = np.concatenate([chunk.samples for chunk in chunks])
        return samples, [span.start_s for chunk in chunks for span in chunk.spans]


@asynccontextmanager
async def judgement(name: str, folder: Path) -> AsyncIterator[Judged]:
    family = FAMILIES[name]
    # Not a whole number of patches.
    recording = noise(folder / "recording.wav", 23_456, 16_000 if name == "voxcpm" else family.rate)
    padded = np.concatenate((np.zeros(-len(recording.samples) % 2_560, np.float32), recording.samples))
    (folder / "padded.wav").write_bytes(wav(padded, recording.sample_rate))
    jobs = {
        called: family.shared
        | {key: str(folder / value) if str(value).endswith(".wav") else value for key, value in call.items()}
        for called, call in family.calls.items()
    }
    judge(f"{name}_judge.py", folder, jobs, ENVIRONMENT)
    async with AsyncExitStack() as stack:
        engines = {}
        for key, settings in family.settings.items():
            precision = key if name == "pocket" else "auto"
            more = {"precision": precision, "max_concurrent": 2}
            engine = family.engine(settings(folder), folder / key, **more)
            engines[key] = await stack.enter_async_context(started(engine))
        yield Judged(family, folder, recording, engines)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judgements() -> AsyncIterator[tuple[AsyncExitStack, dict[str, Judged]]]:
    """Families by name, judged once: pytest would end a fixture with a parameter after each test."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in ENVIRONMENT.items():
            patch.setenv(variable, value)
        async with AsyncExitStack() as stack:
            yield stack, {}


@pytest_asyncio.fixture(loop_scope="module")
async def judged(
    request: pytest.FixtureRequest,
    judgements: tuple[AsyncExitStack, dict[str, Judged]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Judged:
    name, (stack, known) = request.param, judgements
    if name not in known:
        needs(FAMILIES[name].module)
        known[name] = await stack.enter_async_context(judgement(name, tmp_path_factory.mktemp(name)))
    return known[name]


@pytest.mark.parametrize(("judged", "name"), CALLS, indirect=["judged"])
async def test_call_is_spoken_as_by_the_package(judged: Judged, name: str) -> None:
    samples, starts = await judged.spoken(name)
    assert judged.same(samples, name) and len(samples) > 1_000
    if judged.engines[judged.family.engine_of(judged.call(name))].info.times_words:
        assert starts == pytest.approx(judged.expected(name)[1], abs=2e-4)


@pytest.mark.parametrize("judged", FAMILIES, indirect=True)
async def test_calls_differ(judged: Judged) -> None:
    """The comparisons above would otherwise prove nothing."""
    # VoxCPM2's random speech ends by itself, so that its limits are not reached.
    unreached = {f"voxcpm2 {name}" for name in ("short", "retried", "retried_once", "whole")}
    names = judged.family.calls.keys() - unreached
    assert len({judged.expected(name)[0].tobytes() for name in names}) == len(names)


@pytest.mark.parametrize("judged", ["kyutai"], indirect=True)
async def test_streams_beside_each_other_speak_as_they_do_alone(judged: Judged) -> None:
    """More than there are slots, each with its own seed; one is closed early."""
    names = ["plain", "seed", "voice", "word", "plain"]
    gone = replace(judged.family.segment_of(judged.call("plain")), text=PLAIN)
    early = interrupted(judged.engines["embedding"], gone, killed=False)
    _, *found = await asyncio.gather(early, *(judged.spoken(name) for name in names))
    assert all(judged.same(samples, name) for (samples, _), name in zip(found, names, strict=True))


@pytest.mark.parametrize("judged", ["voxcpm"], indirect=True)
async def test_memory_of_the_worker_stays_flat(judged: Judged) -> None:
    short = {"inference_timesteps": 1, "retry_badcase_ratio_threshold": 1.0}

    async def used_after(times: int) -> int:
        for _ in range(times):
            await judged.spoken("voxcpm2 plain", options=short)
        return sum(worker.memory_info().rss for worker in workers())

    before = await used_after(10)
    assert await used_after(40) - before < 8 << 20


def rewritten(name: str, *, only: bool = False, **tensors: Any) -> Damage:
    """Change tensors of a file, "__" for ".", or remove them; only: have no others."""

    def rewrite(own: Path) -> None:
        from safetensors.numpy import load_file, save_file

        new = {key.replace("__", "."): value for key, value in tensors.items()}
        kept = ({} if only else load_file(own / name)) | new
        save_file({key: value for key, value in kept.items() if value is not None}, own / name)

    return rewrite


WEIGHTS, NOT_FINITE = "model.safetensors", "has NaN or infinite values"
GERMAN, JUERGEN = f"languages/german/{WEIGHTS}", "languages/german/embeddings/juergen.safetensors"
DAMAGES: list[tuple[str, str, Damage, str]] = [
    ("pocket", "int8", rewritten(GERMAN, flow_lm__out_eos__bias=None), r"flow_lm\.out_eos\.bias"),
    ("pocket", "int8", rewritten(GERMAN, flow_lm__out_norm__bias=np.ones(3, np.float32)), r"out_norm\.bias"),
    ("pocket", "int8", rewritten(GERMAN, flow_lm__bos_emb=np.full(32, np.nan, np.float32)), NOT_FINITE),
    ("pocket", "int8", changed("languages/german/tokenizer.json", "{}"), "cannot load its model: .*"),
    ("pocket", "int8", rewritten(JUERGEN, only=True, **{"x/cache": np.ones(1)}), "is not a voice"),
    ("voxcpm", "voxcpm2", rewritten(f"voxcpm2/{WEIGHTS}", base_lm__norm__weight=None), "have no base_lm"),
    (
        "voxcpm", "voxcpm2",
        rewritten(f"voxcpm2/{WEIGHTS}", base_lm__norm__weight=np.full(64, np.nan, np.float32)), NOT_FINITE,
    ),
    (
        "voxcpm", "voxcpm2",
        rewritten(f"voxcpm2/{WEIGHTS}", base_lm__norm__weight=np.ones(3, np.float32)), "size mismatch",
    ),
    ("kyutai", "prefix", rewritten(f"prefix/{WEIGHTS}", text_linear__weight=None), r"text_linear\.weight"),
    (
        "kyutai", "prefix",
        rewritten(f"prefix/{WEIGHTS}", out_norm__alpha=np.full((1, 1, 32), np.inf, np.float32)), NOT_FINITE,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("judged", "key", "damage", "reason"), DAMAGES, indirect=["judged"])
async def test_wrong_weights_are_named_with_a_cure(
    judged: Judged, tmp_path: Path, key: str, damage: Damage, reason: str
) -> None:
    shutil.copytree(judged.folder, tmp_path / "own")
    damage(tmp_path / "own")
    family = judged.family
    with pytest.raises(EngineUnavailable, match=f"{reason}.*{family.package.setting}"):
        async with started(family.engine(family.settings[key](tmp_path / "own"), tmp_path)):
            pass
