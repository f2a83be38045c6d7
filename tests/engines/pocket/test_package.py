"""Pocket TTS's engine beside the makers' package: tiny random checkpoints of the true architecture.

A worker in the judges' environment speaks; the samples are those of the package's own calls, though not to
the last bit: the package decodes as many frames at once as there are, and so rounds in its own ways.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from safetensors.numpy import load_file, save, save_file

from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest, NoSpeech
from kani.core.types import Embedding, Recording, Samples, Sampling, Segment
from kani.engines.packages.engine import PackageEngine
from kani.engines.plugin import Resources
from kani.engines.pocket.checkpoint import find
from kani.engines.pocket.plugin import PACKAGE
from kani.engines.pocket.published import CLONING_REPOSITORY, OPEN_REPOSITORY, PUBLISHED, languages_here
from kani.engines.pocket.settings import PocketSettings
from kani.engines.registry import Registry
from tests.clients.voxcpm.wire import opened
from tests.engines.checkpoints import Damage, changed, cut, removed, tampered
from tests.engines.packages.life import interrupted, pcm_of, spoken
from tests.judges import judged as support
from tests.judges.judged import JUDGE_PYTHON, ONE_THREAD, Running, judge, needs, noise
from tests.runtime.test_hub import Hub, use_hub
from tests.runtime.test_hub import hub as hub
from tests.support.patience import WITHIN_S

LONG = "Wie geht es dir heute; mein Freund? Das ist ein langer Satz, der nicht gleich endet, und noch einer."
HELLO, RATE = "guten Morgen", 24_000
ASKED: dict[str, dict[str, Any]] = {
    "plain": {"text": HELLO},
    "warm": {"text": HELLO, "temperature": 0.9},
    "long": {"text": LONG},
    "dutch": {"text": "Goedemorgen!", "language": "dutch"},
    "int8": {"text": HELLO, "int8": True},
}
Engines = dict[str, Running[PackageEngine]]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the checkpoints, of a recording, and of what the package spoke."""
    needs("pocket_tts")
    folder = tmp_path_factory.mktemp("judged")
    noise(folder / "recording.wav", 60_000, RATE)
    asked = ASKED | {"cloned": {"text": HELLO, "recording": str(folder / "recording.wav")}}
    judge("pocket_judge.py", folder, {name: {"seed": 5} | job for name, job in asked.items()}, ONE_THREAD)
    return folder


@pytest.fixture(scope="module")
def running(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    shared = {"KANI_ENGINE": "pocket", "KANI_POCKET_PYTHON": JUDGE_PYTHON, "KANI_POCKET_MODEL": str(judged)}
    settings = {
        "float32": shared | {"KANI_POCKET_LANGUAGES": "de,nl", "KANI_POCKET_PRECISION": "float32"},
        "int8": shared | {"KANI_POCKET_LANGUAGES": "de", "KANI_POCKET_PRECISION": "int8"},
    }
    with support.running(tmp_path_factory, settings, ONE_THREAD) as found:
        yield found


def expected(judged: Path, name: str) -> Samples:
    """What the package spoke, without the silence that the engine trims."""
    samples: Samples = np.load(judged / f"{name}.npy")
    audible, kept = np.flatnonzero(np.abs(samples) >= 0.004), round(0.05 * RATE)
    return samples[max(audible[0] - kept, 0) : audible[-1] + 1 + kept]


def same(one: Samples, other: Samples) -> bool:
    return len(one) == len(other) and bool(np.abs(one - other).max() < 1e-4)


def segment(text: str = HELLO, **changed: Any) -> Segment:
    return replace(Segment(text, "pocket:juergen", "de", sampling=Sampling(seed=5)), **changed)


@pytest.mark.server
@pytest.mark.parametrize("name", ASKED)
def test_text_is_spoken_as_by_the_package(judged: Path, running: Engines, name: str) -> None:
    asked = ASKED[name]
    given: dict[str, Any] = {"sampling": Sampling(seed=5, temperature=asked.get("temperature"))}
    if "language" in asked:
        given |= {"language": "nl-BE", "voice": "pocket:daan"}
    said = spoken(running["int8" if name == "int8" else "float32"], segment(asked["text"], **given))
    assert same(said, expected(judged, name))
    assert len({expected(judged, each).tobytes() for each in ASKED}) == len(ASKED)


@pytest.mark.server
async def test_request_and_its_recording_are_spoken_as_by_the_package(judged: Path, running: Engines) -> None:
    encoded = base64.b64encode((judged / "recording.wav").read_bytes()).decode()
    given = {"prompt_wav_url": f"data:audio/wav;base64,{encoded}", "seed": 5, "language": "de"}
    async with opened(running["float32"].app.url) as client:
        cloned = await client.speak(HELLO, **given)
        plain = await client.speak(HELLO, seed=5, language="de")
    assert cloned.last["result"]["cloning"] == "embedding"
    assert same(cloned.samples, pcm_of(expected(judged, "cloned")))
    assert same(plain.samples, pcm_of(expected(judged, "plain"))) and plain.spans
    assert not same(cloned.samples, plain.samples)


@pytest.mark.server
def test_bad_recordings_and_embeddings_are_refused(running: Engines) -> None:
    one = running["float32"]

    def embedded(samples: Samples) -> Embedding:
        found: Embedding = one.run(one.engine.embed(Recording(samples.astype(np.float32), RATE)))
        return found

    hum = np.random.default_rng(1).normal(0, 0.1, 40 * RATE)
    good = embedded(hum)
    assert len(good.values) == 4096 and len(embedded(hum[:2400]).values) == 3 * 32
    for silent in (np.zeros(RATE), np.full(RATE, 0.5)):
        with pytest.raises(NoSpeech):
            embedded(silent)
    for bad in (
        {"model": "another"}, {"engine": "kani"}, {"values": good.values[1:]},
        {"values": np.full(64, np.nan, np.float32)}, {"values": np.zeros(0, np.float32)},
        {"values": np.tile(good.values, 2)},
    ):  # fmt: skip
        with pytest.raises(InvalidRequest, match=r"^reference: "):
            spoken(one, segment(embedding=replace(good, **bad)))
    for wrong, reason in ((segment(language="fr"), "no model of fr"), (segment("(„“)"), "was no voice")):
        with pytest.raises(EngineFailed, match=reason):
            spoken(one, wrong)


@pytest.mark.server
@pytest.mark.parametrize("killed", [False, True])
def test_it_is_interrupted_and_comes_back(
    judged: Path, running: Engines, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """What was cancelled draws no noise beside the next segment."""
    monkeypatch.setattr("kani.engines.remote.link.MAX_WAIT_S", WITHIN_S)
    interrupted(running["float32"], segment(LONG * 3), killed=killed)
    assert same(spoken(running["float32"], segment()), expected(judged, "plain"))


WEIGHTS, VOICE = "model.safetensors", "embeddings/juergen.safetensors"


def rewritten(name: str, *, only: bool = False, **tensors: Any) -> Damage:
    """Change tensors of a file, "__" for ".", or remove them; only: have no others."""

    def rewrite(own: Path) -> None:
        new = {key.replace("__", "."): value for key, value in tensors.items()}
        kept = ({} if only else load_file(own / name)) | new
        save_file({key: value for key, value in kept.items() if value is not None}, own / name)

    return rewrite


FOUND: list[tuple[Damage, str]] = [
    (removed(WEIGHTS), r"model\.safetensors is not there: KANI_POCKET_MODEL has to hold"),
    (removed("tokenizer.json"), r"tokenizer\.json is not there"),
    (cut(WEIGHTS), r"model\.safetensors is not a whole safetensors file.*--fetch"),
    (tampered(WEIGHTS), r"model\.safetensors fails its SHA-256"),
    (removed(VOICE), r"has no voice: put one into its folder embeddings/"),
]
LOADED: list[tuple[Damage, str]] = [
    (rewritten(WEIGHTS, flow_lm__out_eos__bias=None), r"flow_lm\.out_eos\.bias"),
    (rewritten(WEIGHTS, flow_lm__out_norm__bias=np.ones(3, np.float32)), r"out_norm\.bias"),
    (rewritten(WEIGHTS, flow_lm__bos_emb=np.full(32, np.nan, np.float32)), "not finite"),
    (changed("tokenizer.json", "{}"), r"cannot load its model: .*"),
    (rewritten(VOICE, only=True, **{"x/cache": np.ones(1)}), r"juergen\.safetensors is not a voice"),
]


@pytest.mark.parametrize(("damage", "complaint"), FOUND)
def test_wrong_files_are_named_with_a_cure(tmp_path: Path, damage: Damage, complaint: str) -> None:
    own = tmp_path / "languages" / "german"
    (own / "embeddings").mkdir(parents=True)
    for name in (WEIGHTS, VOICE):
        save_file({"a": np.zeros(100)}, own / name)
    (own / "tokenizer.json").write_text("{}")
    chosen = PocketSettings(languages=("de",), model=str(tmp_path))
    assert find(chosen, Resources(tmp_path))["languages"]["de"]["clones"]
    damage(own)
    with pytest.raises(EngineUnavailable, match=complaint):
        find(chosen, Resources(tmp_path))


@pytest.mark.server
@pytest.mark.parametrize(("damage", "complaint"), LOADED)
async def test_wrong_weights_are_named_with_a_cure(
    judged: Path, tmp_path: Path, damage: Damage, complaint: str
) -> None:
    shutil.copytree(judged / "languages", tmp_path / "languages")
    damage(tmp_path / "languages" / "german")
    host = Registry(lambda model: model(), Resources(tmp_path), CollectorRegistry())
    chosen = PocketSettings(languages=("de",), model=str(tmp_path), python=JUDGE_PYTHON)
    engine = PackageEngine(PACKAGE, chosen, Resources(tmp_path, host=host))
    with pytest.raises(EngineUnavailable, match=f"{complaint}.*KANI_POCKET_MODEL"):
        await engine.start()
    await engine.stop()


OWN = replace(PUBLISHED["de"], cloning_revision="a" * 40, open_revision="b" * 40, tokenizer_revision="a" * 40)


@pytest.mark.parametrize("account", [False, True])
def test_weights_that_clone_are_preferred(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, account: bool
) -> None:
    """They are asked for only with an account; refused ones are replaced by those that do not clone."""
    monkeypatch.setitem(PUBLISHED, "de", OWN)
    monkeypatch.setattr("kani.engines.pocket.published._VOICES_REVISION", "b" * 40)
    tensors = [OWN.weights, PUBLISHED["nl"].weights, OWN.voice("juergen")]
    hub.files = dict.fromkeys(tensors, save({"a": np.zeros(1)})) | {OWN.tokenizer: b"{}"}
    hub.marks_files = False
    hub.repository = OPEN_REPOSITORY
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_token")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", not account)

    def found(**changed: Any) -> dict[str, Any]:
        chosen = PocketSettings(languages=("de",))
        files: dict[str, Any] = find(chosen, Resources(tmp_path, **changed))["languages"]["de"]
        return files

    with pytest.raises(EngineUnavailable, match="is not here, and is not fetched unasked or with --no-fetch"):
        found()
    with caplog.at_level("INFO"):
        fetched = found(may_fetch=True)
    assert (
        not fetched["clones"] and Path(fetched["weights"]).is_file() and [*fetched["voices"]] == ["juergen"]
    )
    asked = [path for path in hub.asked if path.startswith(f"/api/models/{CLONING_REPOSITORY}/")]
    assert bool(asked) == ("cloning is disabled" in caplog.text) == account
    assert "an-open-licence" in caplog.text
    assert not [path for path in hub.asked if "/resolve/" in path and "dutch" in path]
    assert languages_here(tmp_path, ["de", "nl"], fetched=True) == ("de",)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    assert found() == fetched
    hub.repository = CLONING_REPOSITORY
    use_hub(monkeypatch, f"http://127.0.0.1:{hub.server_port}")
    assert found(may_fetch=True)["clones"] == account


def test_every_language_is_published() -> None:
    for published in PUBLISHED.values():
        revisions = (published.cloning_revision, published.open_revision, published.tokenizer_revision)
        assert all(len(revision) == 40 for revision in revisions) and published.voices
