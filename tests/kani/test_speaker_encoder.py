"""The speaker embedder is the makers', and takes nothing but what it can read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kani.speaker_encoder import MAX_RECORDING_S, SAMPLE_RATE, EmbeddingCancelled, Samples, SpeakerEmbedder
from kani.tokens import CheckpointError
from tests.judges import makers
from tests.kani.random_embedder import random_embedder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small embedder of the makers' kind."""
    return random_embedder(tmp_path_factory.mktemp("embedder") / "small")


@pytest.fixture(scope="module")
def embedder(folder: Path) -> SpeakerEmbedder:
    """The same, opened."""
    return SpeakerEmbedder(folder, "small")


def noise(seconds: float, key: int = 0) -> Samples:
    """Noise that is louder on one side of 0."""
    samples = np.random.default_rng(key).normal(0.02, 0.1, round(seconds * SAMPLE_RATE))
    return samples.astype(np.float32)


def changed(folder: Path, target: Path, **entries: object) -> Path:
    """A copy with other entries in its config; None takes one out."""
    target.mkdir(exist_ok=True)
    settings = json.loads((folder / "config.json").read_text("utf-8")) | entries
    kept = {key: value for key, value in settings.items() if key not in entries or value is not None}
    (target / "config.json").write_text(json.dumps(kept), "utf-8")
    (target / "model.safetensors").symlink_to(folder / "model.safetensors")
    return target


@makers.needs_makers
@pytest.mark.parametrize("seconds", [0.5, pytest.param(3.0, marks=pytest.mark.slow)])
def test_embeddings_are_the_makers(
    folder: Path, embedder: SpeakerEmbedder, tmp_path: Path, seconds: float
) -> None:
    """The same weights, the same samples: a cosine of 0.9999 at least."""
    samples = noise(seconds)
    expected = makers.heard(folder, samples, tmp_path)
    embedding = embedder.embed(samples)
    assert embedding.shape == expected.shape == (128,)
    assert float(embedding @ expected) > 0.9999
    assert float(embedder.embed(noise(seconds, key=1)) @ expected) < 0.9999


def test_an_embedding_is_the_same_each_time_and_has_length_1(embedder: SpeakerEmbedder) -> None:
    """Bit by bit; how loud a recording is does not matter."""
    samples = noise(1.0)
    first = embedder.embed(samples)
    assert np.array_equal(first, embedder.embed(samples))
    assert np.linalg.norm(first) == pytest.approx(1.0, abs=1e-6)
    assert float(embedder.embed(samples * 0.1) @ first) > 0.9999


def test_only_the_first_half_minute_is_heard(folder: Path, tmp_path: Path) -> None:
    """What comes later changes nothing, and takes no time."""
    steps = [320, 1, 1, 1, 1, 1, 1]
    quick = SpeakerEmbedder(random_embedder(tmp_path / "quick", conv_stride=steps, conv_dim=[8] * 7), "quick")
    long = noise(MAX_RECORDING_S + 5)
    assert np.array_equal(quick.embed(long), quick.embed(long[: round(MAX_RECORDING_S * SAMPLE_RATE)]))


def test_it_stops_between_two_layers(embedder: SpeakerEmbedder) -> None:
    """Told so before the last layer, it has not gone through it; and it can be asked again."""
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
def test_samples_without_a_sound_are_refused(
    embedder: SpeakerEmbedder, samples: Samples, complaint: str
) -> None:
    """Nothing could be said of them."""
    with pytest.raises(ValueError, match=complaint):
        embedder.embed(samples)


def test_other_names_of_the_weight_norm_are_known(
    folder: Path, embedder: SpeakerEmbedder, tmp_path: Path
) -> None:
    """Older files call its two parts weight_g and weight_v."""
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
def test_a_config_that_does_not_fit_is_refused_by_its_entry(
    folder: Path, tmp_path: Path, entries: dict[str, object], message: str
) -> None:
    """Before anything of its size is made."""
    with pytest.raises(CheckpointError, match=message):
        SpeakerEmbedder(changed(folder, tmp_path / "other", **entries), "other")


def test_files_that_are_missing_or_something_else_are_refused(folder: Path, tmp_path: Path) -> None:
    """By their names; a pickle is not read."""
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
