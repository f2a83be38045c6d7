"""VoxCPM's engine and protocol beside the makers' package: tiny random checkpoints of the true architectures.

A worker in the judges' environment speaks; the samples are equal to those of the package's own calls.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from safetensors.numpy import load_file, save_file

from kani.core.audio.pcm import wav
from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.types import Embedding, OptionValue, Recording, Samples, Sampling, Segment
from kani.engines.packages.engine import PackageEngine
from kani.engines.plugin import Resources
from kani.engines.registry import Registry
from kani.engines.voxcpm.plugin import PACKAGE
from kani.engines.voxcpm.settings import VoxCPMSettings
from tests.clients.voxcpm.wire import opened
from tests.engines.packages.life import interrupted, pcm_of, spoken, workers
from tests.judges import judged as support
from tests.judges.judged import JUDGE_PYTHON, JUDGES, ONE_THREAD, Running, judge, needs, noise
from tests.support.patience import WITHIN_S

pytestmark = pytest.mark.server

OLD, NEW = "voxcpm", "voxcpm2"
RATE = {OLD: 16_000, NEW: 48_000}
HELLO, SECOND = "Hi.", "So."
# Longer than the memory of 512 patches and tokens lets it be, so that it can be cancelled.
LONG = "This goes on and on, and nothing but a cancellation ends it before its time is over" + " again" * 20
WORDS = "These are its words. "

# Calls by name: the package's arguments, which are those of the protocol.
ASKED: dict[str, dict[str, Any]] = {
    "plain": {},
    "cfg": {"cfg_value": 3.5},
    "few_steps": {"inference_timesteps": 3},
    "short": {"retry_badcase_ratio_threshold": 3.0},
    "whole": {"streaming": False, "retry_badcase": False},
    "retried": {"streaming": False, "retry_badcase": True, "retry_badcase_ratio_threshold": 1.0},
    "retried_once": {
        "streaming": False,
        "retry_badcase": True,
        "retry_badcase_max_times": 1,
        "retry_badcase_ratio_threshold": 1.0,
    },
}


@dataclass(frozen=True)
class Judged:
    """Speech of the package by name, its checkpoints, and the recording that it imitated."""

    folder: Path
    recording: Recording

    def said(self, name: str) -> Samples:
        samples: Samples = np.load(self.folder / f"{name}.npy")
        return samples


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    needs("voxcpm")
    folder = tmp_path_factory.mktemp("judged")
    file = folder / "recording.wav"
    # Not a whole number of patches.
    recording = noise(file, 23_456, 16_000)
    padded = np.concatenate((np.zeros(-len(recording.samples) % 2560, np.float32), recording.samples))
    (folder / "padded.wav").write_bytes(wav(padded, 16_000))
    asked = ASKED | {
        "continued": {"text": [HELLO, SECOND]},
        "cloned": {"prompt_wav_path": str(file), "prompt_text": WORDS},
    }
    jobs = {
        f"{architecture}-{name}": {"architecture": architecture} | given
        for architecture in (OLD, NEW)
        for name, given in asked.items()
    }
    jobs["voxcpm2-reference"] = {"architecture": NEW, "reference_wav_path": str(folder / "padded.wav")}
    shared = {"text": HELLO, "streaming": True, "seed": 5}
    judge("voxcpm_judge.py", folder, {name: shared | job for name, job in jobs.items()}, ENVIRONMENT)
    return Judged(folder, recording)


ENVIRONMENT = ONE_THREAD | {"PYTHONPATH": str(JUDGES / "voxcpm_stand_ins"), "TQDM_DISABLE": "1"}


Engines = dict[str, Running[PackageEngine]]


def speak(
    one: Running[PackageEngine],
    text: str,
    *,
    voice: str = "voxcpm:en",
    session: str = "",
    embedding: Embedding | None = None,
    **options: OptionValue,
) -> Samples:
    """Speak one segment by the engine itself; the sessions all have the same request id."""
    made: dict[str, Any] = {"sampling": Sampling(seed=5), "embedding": embedding, "options": options}
    language = voice.removeprefix("voxcpm:")
    return spoken(one, Segment(text, voice, language, request_id="connection", session=session, **made))


@pytest.fixture(scope="module")
def running(judged: Judged, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    shared = {"KANI_ENGINE": "voxcpm", "KANI_VOXCPM_PYTHON": JUDGE_PYTHON}
    settings = {name: shared | {"KANI_VOXCPM_MODEL": str(judged.folder / name)} for name in (OLD, NEW)}
    with support.running(tmp_path_factory, settings, ENVIRONMENT) as found:
        yield found


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("architecture", [OLD, NEW])
async def test_request_is_spoken_as_by_the_package(
    judged: Judged, running: Engines, architecture: str, name: str
) -> None:
    """Through the protocol's socket, with each of its parameters."""
    params = {"streaming": True} | ASKED[name]
    mode = "streaming" if params.pop("streaming") else "non_streaming"
    async with opened(running[architecture].app.url) as client:
        answer = await client.speak(HELLO, mode=mode, seed=5, language="en", **params)
    result = answer.last["result"]
    expected = judged.said(f"{architecture}-{name}")
    assert (result["sample_rate"], result["unused"]) == (RATE[architecture], [])
    # As one truth value: a difference of so many bytes takes minutes to be written.
    assert np.array_equal(answer.samples, pcm_of(expected)) and len(expected) > 1000
    assert answer.spans[-1][1] == len(HELLO)


def test_parameters_change_what_is_spoken(judged: Judged) -> None:
    """The comparisons above would otherwise prove nothing."""
    said = {name: judged.said(f"{OLD}-{name}").tobytes() for name in ASKED}
    assert len(set(said.values())) == len(ASKED)
    # The second's speech ends by itself, so that its limits are not reached.
    said = {name: judged.said(f"{NEW}-{name}").tobytes() for name in ("plain", "cfg", "few_steps")}
    assert len(set(said.values())) == 3


def test_next_sentence_keeps_the_voice_of_the_first(judged: Judged, running: Engines) -> None:
    """A passage in another language does so too; another session of the same connection does not."""
    for architecture in (OLD, NEW):
        one = running[architecture]
        assert one.engine.info.keeps_voices
        speak(one, HELLO, session="one")
        expected = judged.said(f"{architecture}-continued")
        assert np.array_equal(speak(one, SECOND, voice="voxcpm:es", session="one"), expected)
        alone = speak(one, SECOND, session="two")
        assert not np.array_equal(alone, expected)
        assert np.array_equal(alone, speak(one, SECOND))


def test_recording_is_imitated_as_by_the_package(judged: Judged, running: Engines) -> None:
    """With its words both models continue it; without them VoxCPM2 takes it as a reference."""
    for architecture in (OLD, NEW):
        one = running[architecture]
        embedding = one.run(one.engine.embed(judged.recording))
        said = speak(one, HELLO, embedding=embedding, prompt_text=WORDS)
        assert np.array_equal(said, judged.said(f"{architecture}-cloned"))
        if architecture == NEW:
            said = speak(one, HELLO, embedding=embedding)
            assert np.array_equal(said, judged.said("voxcpm2-reference"))
            assert not np.array_equal(said, judged.said("voxcpm2-plain"))
        else:
            with pytest.raises(InvalidRequest, match=r"prompt_text: .*words that are spoken"):
                speak(one, HELLO, embedding=embedding)


async def test_recording_of_a_client_is_imitated(judged: Judged, running: Engines) -> None:
    file = base64.b64encode((judged.folder / "recording.wav").read_bytes()).decode()
    given = {"prompt_wav_url": f"data:audio/wav;base64,{file}", "seed": 5, "language": "en"}
    async with opened(running[NEW].app.url) as client:
        cloned = (await client.speak(HELLO, **given)).last["result"]
        continued = (await client.speak(HELLO, prompt_text=WORDS, **given)).last["result"]
    assert cloned["cloning"] == continued["cloning"] == "embedding"
    assert cloned["unused"] == continued["unused"] == []
    async with opened(running[OLD].app.url) as client:
        continued = (await client.speak(HELLO, prompt_text=WORDS, **given)).last["result"]
        without_words = (await client.speak(HELLO, **given)).last
        alone = (await client.speak(HELLO, prompt_text=WORDS, language="en")).last
        denoised = (await client.speak(HELLO, denoise=True, language="en")).last["result"]
    assert continued["cloning"] == "embedding"
    assert "words that are spoken" in without_words["error"]["details"]["errors"]["prompt_text"]
    assert "transcript of a recording" in alone["error"]["details"]["errors"]["prompt_text"]
    assert denoised["unused"] == ["denoise"]


def test_of_a_recording_at_most_its_first_minute_is_used(running: Engines) -> None:
    """All is used of less than a patch; more than a model holds is refused, with the length that it holds."""
    minute = np.random.default_rng(4).normal(0, 0.1, 60 * 8_000).astype(np.float32)
    for architecture in (OLD, NEW):
        one = running[architecture]

        def embedded(samples: Samples, one: Running[PackageEngine] = one) -> Embedding:
            return cast(Embedding, one.run(one.engine.embed(Recording(samples, 8_000))))

        long = embedded(np.tile(minute, 10))
        assert np.array_equal(long.values, embedded(minute).values)
        short = embedded(minute[:800])
        assert len(short.values) < len(long.values) / 300
        assert len(speak(one, HELLO, embedding=short, prompt_text=WORDS)) > 1000
        if architecture == NEW:
            assert len(speak(one, HELLO, embedding=long)) > 1000
        else:
            with pytest.raises(
                InvalidRequest, match=r"reference: too long .* \(at most 3\d s with this text\)"
            ):
                speak(one, HELLO, embedding=long, prompt_text=WORDS)


@pytest.mark.parametrize("mode", ["streaming", "non_streaming"])
async def test_cancel_ends_between_two_patches(judged: Judged, running: Engines, mode: str) -> None:
    """The slot is free at once: the next request does not wait for what was cancelled."""
    limit = {"inference_timesteps": 50, "retry_badcase_ratio_threshold": 20.0}
    async with opened(running[OLD].app.url) as client:
        for _ in range(3):
            await client.request("long", LONG, mode=mode, language="en", seed=1, **limit)
            while True:
                message = await client.receive()
                begun = mode == "non_streaming" or not isinstance(message, dict)
                if begun and getattr(message, "get", lambda _: "generating")("state") == "generating":
                    break
            await client.send("cancel", request_id="long")
            while not isinstance(message, dict) or message["type"] != "complete":
                message = await client.receive()
            assert message["result"] == {"cancelled": True}
        answer = await client.speak(HELLO, language="en", seed=5)
    assert np.array_equal(answer.samples, pcm_of(judged.said(f"{OLD}-plain")))


@pytest.mark.parametrize("killed", [False, True])
def test_it_is_interrupted_and_comes_back(
    judged: Judged, running: Engines, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    monkeypatch.setattr("kani.engines.remote.link.MAX_WAIT_S", WITHIN_S)
    long = Segment(LONG, "voxcpm:en", "en", sampling=Sampling(seed=1))
    interrupted(running[OLD], long, killed=killed)
    assert np.array_equal(speak(running[OLD], HELLO), judged.said(f"{OLD}-plain"))


def test_memory_of_the_worker_stays_flat(running: Engines) -> None:
    def used() -> int:
        return sum(worker.memory_info().rss for worker in workers())

    def repeat(times: int) -> None:
        for _ in range(times):
            speak(running[NEW], "Yes.", inference_timesteps=1, retry_badcase_ratio_threshold=1.0)

    repeat(10)
    before = used()
    repeat(40)
    assert used() - before < 8 << 20


NORM = "base_lm.norm.weight"


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({NORM: None}, f"of another architecture, or incomplete: its files have no {NORM}"),
        ({NORM: np.full(64, np.nan, np.float32)}, f"damaged: {NORM} has NaN or infinite values"),
        ({NORM: np.ones(3, np.float32)}, "cannot load its model: .*size mismatch"),
    ],
)
async def test_wrong_weights_are_named_with_a_cure(
    judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensors: dict[str, Any], reason: str
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(judged.folder / NEW, tmp_path / NEW)
    weights = tmp_path / NEW / "model.safetensors"
    changed = load_file(weights) | tensors
    save_file({name: value for name, value in changed.items() if value is not None}, weights)
    host = Registry(lambda model: model(), Resources(tmp_path), CollectorRegistry())
    settings = VoxCPMSettings(model=str(tmp_path / NEW), python=JUDGE_PYTHON)
    engine = PackageEngine(PACKAGE, settings, Resources(tmp_path, device="cpu", host=host))
    with pytest.raises(EngineUnavailable, match=f"{reason}.*KANI_VOXCPM_MODEL"):
        await engine.start()
    await engine.stop()
