"""VoxCPM's engine where it cannot start: the sentence names what is wrong, and the cure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.engines.plugin import Resources
from kani.engines.voxcpm import checkpoint, environment, parameters, published
from kani.engines.voxcpm.engine import VoxCPMEngine
from kani.engines.voxcpm.parameters import Parameters
from kani.engines.voxcpm.settings import VoxCPMSettings
from kani.protocols.voxcpm.params import RANGES
from kani.runtime.hub import Hub as HubFiles
from kani.text.languages import resolve
from tests.engines.checkpoints import (
    Damage,
    assert_worker_imports_only,
    changed,
    cut,
    edited,
    removed,
    tampered,
)
from tests.runtime.test_hub import Hub, use_hub
from tests.runtime.test_hub import hub as hub

CONFIG = {
    "architecture": "voxcpm2",
    "lm_config": {},
    "encoder_config": {},
    "dit_config": {},
    "audio_vae_config": {"sample_rate": 16_000},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a checkpoint; its weights are one tensor."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    (folder / "audiovae.pth").write_bytes(b"content")
    save_file({"a": np.zeros(100, np.float32)}, folder / "model.safetensors")
    return folder


def engine(folder: Path, **settings: str) -> VoxCPMEngine:
    return VoxCPMEngine(VoxCPMSettings(model=str(folder), **settings), Resources(folder))


CONFIG_FILE, WEIGHTS = "config.json", "model.safetensors"
DAMAGES: dict[str, tuple[Damage, str]] = {
    "other": (
        changed(CONFIG_FILE, '{"model_type": "llama"}'),
        r"config\.json is of another architecture .*lm_",
    ),
    "newer": (
        edited(CONFIG_FILE, architecture="voxcpm9"),
        r"config\.json is of another architecture .*voxcpm9",
    ),
    "config": (changed(CONFIG_FILE, "{"), r"config\.json is not JSON"),
    "list": (changed(CONFIG_FILE, "[]"), r"config\.json is not a configuration"),
    "rate": (
        edited(CONFIG_FILE, audio_vae_config={"sample_rate": "x"}),
        r"config\.json has no valid sample_rate",
    ),
    "truncated": (cut(WEIGHTS), r"model\.safetensors is not a whole safetensors file"),
    "page": (changed(WEIGHTS, "<html>not found</html>"), r"model\.safetensors is not a whole"),
    "tampered": (tampered(WEIGHTS), r"model\.safetensors fails its SHA-256"),
    "no codec": (removed("audiovae.pth"), r"no audiovae\.safetensors and no audiovae\.pth"),
    "no tokenizer": (removed("tokenizer.json"), r"no tokenizer\.json"),
    "no config": (removed(CONFIG_FILE), r"config\.json cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_named(folder: Path, damage: str) -> None:
    assert checkpoint.check(folder) == checkpoint.Checkpoint(folder, "voxcpm2", 16_000)
    spoil, reason = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(EngineUnavailable, match=rf"{reason}.*--fetch --engine voxcpm.*KANI_VOXCPM_MODEL"):
        checkpoint.check(folder)


async def test_missing_package_is_named_with_its_installation(folder: Path) -> None:
    with pytest.raises(EngineUnavailable) as raised:
        # The server's own environment, which has torch.
        await engine(folder).start()
    assert "\n" not in str(raised.value)
    for part in (
        "needs voxcpm:",
        "pip install -r requirements-voxcpm.txt",
        "KANI_VOXCPM_PYTHON=voxcpm/bin/python",
    ):
        assert part in str(raised.value)
    assert (Path(__file__).parents[3] / environment.REQUIREMENTS).is_file()


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/true", str(Path(__file__))])
async def test_python_that_cannot_run_is_named(folder: Path, python: str) -> None:
    stopped = engine(folder, python=python)
    with pytest.raises(EngineUnavailable, match=rf"{python} cannot be run as a Python.*KANI_VOXCPM_PYTHON"):
        await stopped.start()
    await stopped.stop()


def test_checkpoint_is_fetched_once_and_only_if_it_may_be(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.repository = published.DEFAULT_MODEL.partition("@")[0]
    model = f"{hub.repository}@{'a' * 40}"
    monkeypatch.setattr(published, "DEFAULT_MODEL", model)
    hub.files = dict.fromkeys((*published.DEFAULT_FILES, "tokenization_voxcpm2.py"), b"{}")
    with pytest.raises(EngineUnavailable, match="is not here, and is not fetched unasked or with --no-fetch"):
        checkpoint.find(None, tmp_path, may_fetch=False)
    assert not hub.asked
    with caplog.at_level("INFO"), pytest.raises(EngineUnavailable, match=r"config\.json is not JSON"):
        # Its content is the hub's of the test.
        checkpoint.find(None, tmp_path, may_fetch=True)
    assert "licence: an-open-licence" in caplog.text
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert fetched == set(published.DEFAULT_FILES)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    assert HubFiles(tmp_path, False, print).find_files(model, published.DEFAULT_FILES).name == "a" * 40
    with pytest.raises(EngineUnavailable, match=r"cannot be fetched from the model hub .*network"):
        checkpoint.find(None, tmp_path / "new", may_fetch=True)


def test_revision_that_does_not_exist_is_named(tmp_path: Path, hub: Hub) -> None:
    name = f"{hub.repository}@{'c' * 40}"
    with pytest.raises(EngineUnavailable, match=f"no revision {name}"):
        checkpoint.find(name, tmp_path, may_fetch=True)


def test_options_have_the_ranges_of_the_protocol() -> None:
    assert parameters.RANGES == RANGES
    assert Parameters.of({"cfg_alpha": 3.0, "cfg_value": 3}) == Parameters(cfg_value=3)
    wrong = {
        "cfg_value": [0.05, 11, "2", True, float("nan")],
        "inference_timesteps": [0, 51, 2.0, True],
        "retry_badcase_max_times": [-1, 11],
        "retry_badcase_ratio_threshold": [0.5, 21],
        "denoise": [1],
        "prompt_text": [1],
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(InvalidRequest, match=f"^{name}: "):
                Parameters.of({name: value})


def test_languages_are_known_to_this_server() -> None:
    for tags in published.LANGUAGES.values():
        assert {resolve(tag) for tag in tags} == set(tags) and len(set(tags)) == len(tags)


def test_worker_needs_two_packages_alone() -> None:
    assert_worker_imports_only("kani.engines.voxcpm.package_engine")
