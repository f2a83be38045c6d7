"""The speaker embedder matches the makers' code and refuses misfits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kani.engines.kani.model import speaker_encoder
from kani.engines.kani.model.speaker_encoder import SAMPLE_RATE, EmbeddingCancelled, Samples, SpeakerEmbedder
from kani.runtime.errors import CheckpointError
from tests.engines.kani.model.random_embedder import random_embedder
from tests.judges import makers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_embedder(tmp_path_factory.mktemp("embedder") / "small")


@pytest.fixture(scope="module")
def embedder(folder: Path) -> SpeakerEmbedder:
    return SpeakerEmbedder(folder, "small")


def noise(seconds: float, key: int = 0) -> Samples:
    """Noise with an offset."""
    samples = np.random.default_rng(key).normal(0.02, 0.1, round(seconds * SAMPLE_RATE))
    return samples.astype(np.float32)


def changed(folder: Path, target: Path, **entries: object) -> Path:
    """A copy with other config entries; None removes one."""
    target.mkdir(exist_ok=True)
    settings = json.loads((folder / "config.json").read_text("utf-8")) | entries
    kept = {key: value for key, value in settings.items() if key not in entries or value is not None}
    (target / "config.json").write_text(json.dumps(kept), "utf-8")
    (target / "model.safetensors").symlink_to(folder / "model.safetensors")
    return target


@pytest.mark.heard
@makers.needs_makers
@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_embeddings_match_makers_code(
    folder: Path, embedder: SpeakerEmbedder, tmp_path: Path, seconds: float
) -> None:
    samples = noise(seconds)
    expected = makers.heard(folder, samples, tmp_path)
    embedding = embedder.embed(samples)
    assert embedding.shape == expected.shape == (128,)
    assert float(embedding @ expected) > 0.9999
    assert float(embedder.embed(noise(seconds, key=1)) @ expected) < 0.9999


def test_embedding_is_deterministic_unit_vector(embedder: SpeakerEmbedder) -> None:
    samples = noise(1.0)
    first = embedder.embed(samples)
    assert np.array_equal(first, embedder.embed(samples))
    assert np.linalg.norm(first) == pytest.approx(1.0, abs=1e-6)
    assert float(embedder.embed(samples * 0.1) @ first) > 0.9999


def test_embedding_uses_first_30_seconds(embedder: SpeakerEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert speaker_encoder.MAX_RECORDING_S == 30.0
    monkeypatch.setattr(speaker_encoder, "MAX_RECORDING_S", 0.5)
    samples = noise(0.6)
    assert np.array_equal(embedder.embed(samples), embedder.embed(noise(0.6)[: SAMPLE_RATE // 2]))
    assert not np.array_equal(embedder.embed(samples[::-1]), embedder.embed(samples))


def test_embedding_is_cancelled_between_layers(embedder: SpeakerEmbedder) -> None:
    asked = []

    def soon() -> bool:
        asked.append(True)
        return len(asked) == 9

    with pytest.raises(EmbeddingCancelled):
        embedder.embed(noise(1.0), soon)
    assert len(asked) == 9  # seven convolutions and two layers of the encoder
    assert embedder.embed(noise(1.0)).shape == (128,)
    assert len(asked) == 9


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        (noise(0.05), "at least"),
        (np.zeros(SAMPLE_RATE, np.float32), "all the same"),
        (np.full(SAMPLE_RATE, np.nan, np.float32), "not finite"),
    ],
    ids=["short", "silent", "nan"],
)
def test_samples_without_sound_are_refused(
    embedder: SpeakerEmbedder, samples: Samples, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        embedder.embed(samples)


def test_older_weight_norm_names_are_read(folder: Path, embedder: SpeakerEmbedder, tmp_path: Path) -> None:
    target = changed(folder, tmp_path / "older")
    weights = load_file(folder / "model.safetensors")
    older = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for key, tensor in weights.items()
    }
    assert older.keys() != weights.keys()
    (target / "model.safetensors").unlink()
    save_file(older, target / "model.safetensors", {"format": "pt"})
    opened = SpeakerEmbedder(target, "small")
    assert opened.name == embedder.name
    assert np.array_equal(opened.embed(noise(0.5)), embedder.embed(noise(0.5)))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"model_type": "wav2vec2"}, "model_type is 'wav2vec2', not 'wavlm'"),
        ({"embd_size": None}, "embd_size is None"),
        ({"top_interm_size": 0}, "top_interm_size is 0"),
        ({"add_adapter": True}, "adapter"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"hidden_size": 2**40}, "hidden_size is out of range"),
        ({"conv_dim": [32] * 100}, "conv_dim is out of range"),
        ({"conv_dim": [32] * 3}, "do not fit together"),
        ({"hidden_size": "wide"}, "do not fit together"),
        ({"num_attention_heads": 7}, "do not fit together"),
        ({"intermediate_size": 96}, r"intermediate_dense\.\w+ has the shape \[128"),
        ({"num_hidden_layers": 3}, r"encoder\.layers\.2\.\S+ is missing"),
        ({"num_hidden_layers": 1}, r"encoder\.layers\.1\.\S+ \[.+\] is not part"),
        ({"embd_size": 64}, r"top_layers\.\S+ has the shape \[128"),
    ],
)
def test_misfit_config_is_refused_by_entry(
    folder: Path, tmp_path: Path, entries: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        SpeakerEmbedder(changed(folder, tmp_path / "other", **entries), "other")


def test_missing_or_wrong_files_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        SpeakerEmbedder(tmp_path, "none")
    target = changed(folder, tmp_path / "other")
    (target / "model.safetensors").unlink()
    torch.save({}, target / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        SpeakerEmbedder(target, "other")
    (target / "pytorch_model.bin").rename(target / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        SpeakerEmbedder(target, "other")
