"""Checkpoints that do not fit are refused by one sentence that names the file and the entry."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kani.core.errors import EngineUnavailable
from kani.engines.moonshine.engine import MoonshineRecognizer
from kani.engines.moonshine.settings import MoonshineSettings
from kani.engines.plugin import Resources

Damage = Callable[[Path], object]


def edit(**entries: object) -> Damage:
    """Change entries of config.json; those of the encoder begin with ``encoder_``."""

    def change(folder: Path) -> None:
        path = folder / "config.json"
        config: dict[str, Any] = json.loads(path.read_text())
        for key, value in entries.items():
            place = config["encoder_config"] if key.startswith("encoder_") else config
            place[key.removeprefix("encoder_")] = value
        path.write_text(json.dumps(config))

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return damage


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def tamper(folder: Path) -> None:
    """As the hub's cache has it: a link to a file that is named by its SHA-256."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    blob = folder / hashlib.sha256(content).hexdigest()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    path.unlink()
    path.symlink_to(blob.name)


FC1 = "model.decoder.layers.1.mlp.fc1.weight"


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (edit(model_type="moonshine"), "has the model_type 'moonshine', not 'moonshine_streaming'"),
        (edit(hidden_size="wide"), "hidden_size is 'wide'; it has to be a whole number from 1 to 65536"),
        (edit(hidden_act="relu"), "hidden_act is 'relu'; it has to be 'silu'"),
        (edit(num_key_value_heads=2), "num_key_value_heads is 2; it has to be 4"),
        (edit(max_position_embeddings=50), "max_position_embeddings is 50; it has to be .* from 1000"),
        (edit(rope_parameters={"rope_type": "yarn"}), "rope_type is 'yarn'; it has to be 'default'"),
        (edit(rope_parameters={"partial_rotary_factor": 2}), "partial_rotary_factor is 2; .* at most 1"),
        (edit(eos_token_id=[2, 60]), "eos_token_id is .*; it has to be tokens from 0 to 59"),
        (edit(bos_token_id=60), "bos_token_id is 60; it has to be a whole number from 0 to 59"),
        (edit(encoder_sliding_windows=[[5, 3]]), "sliding_windows is .* 4 pairs"),
        (edit(encoder_sample_rate=8000), "encoder_config: sample_rate is 8000; it has to be 16000"),
        (edit(vocab_size=59), "tokenizer.json has 60 tokens, config.json's vocab_size is 59"),
        (weights(lambda tensors: tensors.pop(FC1)), f"{FC1} is missing; fetch the checkpoint again"),
        (
            weights(lambda tensors: tensors.update({FC1: torch.zeros(96, 41)})),
            r"fc1.weight has the shape \[96, 41\]; it has to be \[96, 40\]",
        ),
        (cut, "model.safetensors is not a safetensors file"),
        (tamper, "model.safetensors in the cache fails its SHA-256: delete it"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer of .* cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no file 'model.safetensors'"),
    ],
)
async def test_unsuitable_checkpoint_is_refused_with_the_file_and_the_cure(
    folder: Path, tmp_path: Path, damage: Damage, complaint: str
) -> None:
    broken = shutil.copytree(folder, tmp_path / "moonshine-streaming-tiny")
    damage(broken)
    recognizer = MoonshineRecognizer(MoonshineSettings(model=str(broken)), Resources(tmp_path))
    with pytest.raises(EngineUnavailable, match=complaint) as refused:
        await recognizer.start()
    sentence = str(refused.value)
    assert "--recognizer whisper" in sentence and str(tmp_path) not in sentence and "\n" not in sentence
    await recognizer.stop()


async def test_checkpoint_that_is_not_here_is_refused_with_the_cure(tmp_path: Path) -> None:
    settings = MoonshineSettings(model="UsefulSensors/moonshine-streaming-tiny-es@main")
    recognizer = MoonshineRecognizer(settings, Resources(tmp_path))
    assert recognizer.info.languages == {"es"}
    with pytest.raises(EngineUnavailable, match="is not here, and is not fetched unasked or with --no-fetch"):
        await recognizer.start()
    await recognizer.stop()
    with pytest.raises(EngineUnavailable, match="KANI_MOONSHINE_MODEL: 'ears' is neither a folder nor"):
        MoonshineRecognizer(MoonshineSettings(model="ears"), Resources(tmp_path))
    assert MoonshineRecognizer(MoonshineSettings(), Resources(tmp_path)).info.languages == {"en"}
