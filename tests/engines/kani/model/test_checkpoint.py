"""Untrusted checkpoints and speaker embedders: misfits are refused by name; embeddings are the makers'."""

import json
import pickle
import re
import shutil
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Lfm2Config, Lfm2ForCausalLM

from kani.engines.kani.model import speaker_encoder
from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.model_config import ModelConfig
from kani.engines.kani.model.speaker_encoder import SAMPLE_RATE, EmbeddingCancelled, Samples, SpeakerEmbedder
from kani.runtime.errors import CheckpointError
from tests.engines.checkpoints import Harmful
from tests.engines.kani.conftest import misfits, rewrite
from tests.engines.kani.model.random_checkpoint import FULL, random_embedder
from tests.judges import makers


@pytest.fixture
def folder(checkpoint_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint, to be damaged."""
    return Path(shutil.copytree(checkpoint_folder, tmp_path / "tiny"))


def change(path: Path, **entries: Any) -> None:
    content = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps(content | entries), "utf-8")


@pytest.mark.parametrize(
    "settings_",
    [
        {},
        {"tie_embedding": False},
        {"tie_word_embeddings": False},
        {"layer_types": ["conv"] * 8 + ["full_attention"] * 8},
        {"block_ffn_dim_multiplier": 1.3, "block_multiple_of": 48},
        {"block_auto_adjust_ff_dim": False},
        {"intermediate_size": 100, "block_ff_dim": 300},
        {"rope_theta": 5000.0},
        {"rope_theta": 5000.0, "rope_parameters": {"rope_type": "default", "rope_theta": 77}},
        {"rope_scaling": {"type": "default", "rope_theta": 66.0}},
    ],
    ids=str,
)
def test_config_entries_match_transformers(settings_: dict[str, Any]) -> None:
    given_settings = FULL | {"model_type": "lfm2"} | settings_
    config = ModelConfig.parse(given_settings)
    theirs = Lfm2Config(**json.loads(json.dumps(given_settings)))
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in Lfm2ForCausalLM(theirs).state_dict().items()}
    if theirs.tie_word_embeddings:
        del shapes["lm_head.weight"]
    assert config.shapes() == shapes
    assert config.rope_base == theirs.rope_parameters["rope_theta"]


def test_tensors_are_read_as_float32_whole_or_sharded(folder: Path) -> None:
    whole = folder / "model.safetensors"
    halves = {key: value.to(torch.bfloat16) for key, value in load_file(whole).items()}

    def assert_read() -> None:
        checkpoint = Checkpoint(folder)
        checkpoint.check_shapes()
        with ExitStack() as stack:
            read = checkpoint.weights(stack)
            for key in checkpoint.config.shapes():
                assert read(key).dtype == torch.float32
                assert torch.equal(read(key), halves[key].float())

    save_file(halves | {"lm_head.weight": halves["model.embed_tokens.weight"].clone()}, whole)
    assert_read()
    whole.unlink()
    index = {key: f"model-{number % 3}.safetensors" for number, key in enumerate(sorted(halves))}
    for name in set(index.values()):
        save_file({key: halves[key] for key in halves if index[key] == name}, folder / name)
    change(folder / INDEX, weight_map=index)
    assert_read()
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"tiny has no file 'model-1\.safetensors'"):
        Checkpoint(folder).check_shapes()


@pytest.mark.parametrize("name", ["../stolen.safetensors", "sub/stolen.safetensors", "..", "", "/etc/passwd"])
def test_shard_outside_folder_is_refused(folder: Path, name: str) -> None:
    for other in (folder.parent, folder / "sub"):
        other.mkdir(exist_ok=True)
        shutil.copy(folder / "model.safetensors", other / "stolen.safetensors")
    change(folder / INDEX, weight_map={"model.embed_tokens.weight": name})
    with pytest.raises(CheckpointError, match=re.escape(f"tiny has no file {name!r}")):
        Checkpoint(folder).check_shapes()


@pytest.mark.parametrize("where", ["beside", "instead", "as a shard"])
def test_pickle_is_never_read(folder: Path, where: str) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harmful(folder / "harm.txt")))
    if where == "beside":
        Checkpoint(folder).check_shapes()
    else:
        (folder / "model.safetensors").unlink()
        message = r"tiny has no file 'model\.safetensors'"
        if where == "as a shard":
            change(folder / INDEX, weight_map={"x": "pytorch_model.bin"})
            message = r"pytorch_model\.bin is not a safetensors file"
        with pytest.raises(CheckpointError, match=message):
            Checkpoint(folder).check_shapes()
    assert not (folder / "harm.txt").exists()


INDEX, GENERATION = "model.safetensors.index.json", "generation_config.json"


NO_OBJECT = (b"", b"[]", b"3", b"{", b"\xff\xfe", b"[" * 100_000, b'{"hidden_size": ' + b"9" * 5000 + b"}")
NO_SAFETENSORS = (b"", b"x" * 100, b"\xff" * 8 + b"{}", b"\x02\0\0\0\0\0\0\0{}more")
NO_BPE = b'{"added_tokens": [], "model": {"type": "BPE", "vocab": 3, "merges": []}}'
NO_TOKENIZER = "the tokenizer of tiny cannot be read"
# Entries of a JSON file, all of a file's content, or None where the file is gone.
REFUSED: list[tuple[str, dict[str, Any] | bytes | None, str]] = [
    ("config.json", None, r"tiny has no config\.json"),
    ("tokenizer.json", None, r"tiny has no tokenizer\.json"),
    *((INDEX, {"weight_map": shards}, "weight_map") for shards in (None, [], {}, "x", 3)),
    *((GENERATION, {"top_k": top_k}, rf"{GENERATION}: top_k is") for top_k in ("50", -1, 1.5, True, [50])),
    *((name, content, name) for name in ("config.json", GENERATION, INDEX) for content in NO_OBJECT),
    *(
        ("model.safetensors", content, r"model\.(safetensors is not a safetensors file|embed_tokens)")
        for content in NO_SAFETENSORS
    ),
    *(("tokenizer.json", content, NO_TOKENIZER) for content in (b"{}", b"[]", b"torn", NO_BPE)),
    *(
        ("tokenizer_config.json", content, NO_TOKENIZER)
        for content in (b"[]", b"torn", b'{"model_max_length": "long"}')
    ),
    *(("config.json", *row) for row in misfits("model")),
    ("config.json", {"norm_eps": 10**400}, "norm_eps"),
    ("config.json", {"rope_parameters": {"rope_theta": 10**400}}, "rope_theta"),
]


@pytest.mark.parametrize(("name", "content", "message"), REFUSED, ids=lambda value: str(value)[:50])
def test_unsuitable_file_is_refused_by_name(
    folder: Path, name: str, content: dict[str, Any] | bytes | None, message: str
) -> None:
    if content is None:
        (folder / name).unlink()
    elif isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        change(folder / name, **content)
    with pytest.raises(CheckpointError, match=message):
        checkpoint = Checkpoint(folder)
        checkpoint.layout(codebooks=4, codebook_size=4032)
        checkpoint.check_shapes()
        checkpoint.text_tokens("Hola")


def test_misfit_tensor_is_named(folder: Path) -> None:
    key = "model.layers.1.self_attn.k_proj.weight"
    original = load_file(folder / "model.safetensors")[key]
    rewrite(folder, **{key: None})
    with pytest.raises(CheckpointError, match=rf"{key} is missing; its shape has to be \[32, 64\]"):
        Checkpoint(folder).check_shapes()
    with ExitStack() as stack, pytest.raises(CheckpointError, match=f"{key} is missing"):
        Checkpoint(folder).weights(stack)(key)
    rewrite(folder, **{key: torch.zeros(64, 32)})
    with pytest.raises(CheckpointError, match=rf"{key} has the shape \[64, 32\]; it has to be \[32, 64\]"):
        Checkpoint(folder).check_shapes()
    rewrite(folder, **{key: original, "model.layers.5.conv.conv.bias": torch.zeros(3)})
    with pytest.raises(CheckpointError, match=r"model\.layers\.5\.conv\.conv\.bias \[3\] is not part"):
        Checkpoint(folder).check_shapes()


def test_entries_of_configs_are_read_and_unknown_ones_ignored(folder: Path) -> None:
    for given, top_k in ((None, 50), (0, 0), (30, 30)):
        change(folder / GENERATION, top_k=given)
        assert Checkpoint(folder).top_k == top_k
    (folder / GENERATION).unlink()
    assert Checkpoint(folder).top_k == 50
    for settings, names in (
        (None, ()),
        ({}, ()),
        ({"status": "single", "speaker_list": None}, ()),
        ({"status": "multi", "speaker_list": ["ana", "luis"]}, ("ana", "luis")),
    ):
        change(folder / "config.json", speaker_settings=settings)
        assert Checkpoint(folder).speakers == names
    assert Checkpoint(folder).layout(codebooks=4, codebook_size=4032).audio_start == 310
    change(folder / "config.json", audio_tokens_start=300)
    assert Checkpoint(folder).layout(codebooks=4, codebook_size=4032).codebook_range(0) == (300, 4332)
    # No code that an entry names is imported.
    (folder / "evil.py").write_text("raise SystemExit('harm')")
    evil = {"AutoTokenizer": ["evil.Evil", None], "AutoConfig": "evil.Evil"}
    unknown = ("__class__", "to_dict", "_settings", "auto_map", "quantization_config")
    change(folder / "config.json", audio_tokens_start=310, **dict.fromkeys(unknown, evil))
    change(folder / "tokenizer_config.json", tokenizer_class="Evil", auto_map=evil)
    Checkpoint(folder).check_shapes()
    assert Checkpoint(folder).text_tokens("a")[0] == 1


@pytest.mark.parametrize("text", ["", "Hola, ¿qué tal?", "🙂 <|im_end|>", "ana: línea\nnueva"])
def test_text_tokens_match_auto_tokenizer(checkpoint: Checkpoint, text: str) -> None:
    expected = AutoTokenizer.from_pretrained(checkpoint.folder)(text)["input_ids"]
    assert checkpoint.text_tokens(text) == expected
    assert expected[0] == 1


@pytest.fixture(scope="module")
def embedder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_embedder(tmp_path_factory.mktemp("embedder") / "small")


@pytest.fixture(scope="module")
def embedder(embedder_folder: Path) -> SpeakerEmbedder:
    return SpeakerEmbedder(embedder_folder, "small")


def noise(seconds: float, key: int = 0) -> Samples:
    samples = np.random.default_rng(key).normal(0.02, 0.1, round(seconds * SAMPLE_RATE))
    return samples.astype(np.float32)


def embedder_copy(embedder_folder: Path, target: Path, **entries: object) -> Path:
    """A copy with other config entries; None removes one."""
    target.mkdir(exist_ok=True)
    settings = json.loads((embedder_folder / "config.json").read_text("utf-8")) | entries
    kept = {key: value for key, value in settings.items() if key not in entries or value is not None}
    (target / "config.json").write_text(json.dumps(kept), "utf-8")
    (target / "model.safetensors").symlink_to(embedder_folder / "model.safetensors")
    return target


@pytest.mark.heard
@makers.needs_makers
@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_embeddings_match_makers_code(
    embedder_folder: Path, embedder: SpeakerEmbedder, tmp_path: Path, seconds: float
) -> None:
    samples = noise(seconds)
    expected = makers.heard(embedder_folder, samples, tmp_path)
    embedding = embedder.embed(samples)
    assert embedding.shape == expected.shape == (128,)
    assert float(embedding @ expected) > 0.9999
    assert float(embedder.embed(noise(seconds, key=1)) @ expected) < 0.9999


def test_embedding_is_of_first_30_seconds(embedder: SpeakerEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(1.0)
    first = embedder.embed(samples)
    assert np.array_equal(first, embedder.embed(samples))
    assert np.linalg.norm(first) == pytest.approx(1.0, abs=1e-6)
    assert float(embedder.embed(samples * 0.1) @ first) > 0.9999
    assert speaker_encoder.MAX_RECORDING_S == 30.0
    monkeypatch.setattr(speaker_encoder, "MAX_RECORDING_S", 0.5)
    samples = noise(0.6)
    assert np.array_equal(embedder.embed(samples), embedder.embed(noise(0.6)[: SAMPLE_RATE // 2]))
    assert not np.array_equal(embedder.embed(samples[::-1]), embedder.embed(samples))


def test_embedding_is_cancelled_between_layers_and_refused_without_voice(embedder: SpeakerEmbedder) -> None:
    asked = count(1)
    with pytest.raises(EmbeddingCancelled):
        embedder.embed(noise(1.0), lambda: next(asked) == 9)
    # Seven convolutions and two layers of the encoder; and none is asked later.
    assert embedder.embed(noise(1.0)).shape == (128,) and next(asked) == 10
    for samples, complaint in (
        (noise(0.05), "at least"),
        (np.zeros(SAMPLE_RATE, np.float32), "all the same"),
        (np.full(SAMPLE_RATE, np.nan, np.float32), "not finite"),
    ):
        with pytest.raises(ValueError, match=complaint):
            embedder.embed(samples)


def test_older_norm_names_are_read(embedder_folder: Path, embedder: SpeakerEmbedder, tmp_path: Path) -> None:
    target = embedder_copy(embedder_folder, tmp_path / "older")
    weights = load_file(embedder_folder / "model.safetensors")
    original = "parametrizations.weight.original"
    older = {
        key.replace(f"{original}0", "weight_g").replace(f"{original}1", "weight_v"): tensor
        for key, tensor in weights.items()
    }
    assert older.keys() != weights.keys()
    (target / "model.safetensors").unlink()
    save_file(older, target / "model.safetensors", {"format": "pt"})
    opened = SpeakerEmbedder(target, "small")
    assert opened.name == embedder.name
    assert np.array_equal(opened.embed(noise(0.5)), embedder.embed(noise(0.5)))


@pytest.mark.parametrize(
    ("entries", "message"), [*misfits("embedder"), ({"conv_dim": [32] * 100}, "conv_dim is out of range")]
)
def test_misfit_config_is_refused_by_entry(
    embedder_folder: Path, tmp_path: Path, entries: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        SpeakerEmbedder(embedder_copy(embedder_folder, tmp_path / "other", **entries), "other")


def test_missing_or_wrong_files_are_refused(embedder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        SpeakerEmbedder(tmp_path, "none")
    target = embedder_copy(embedder_folder, tmp_path / "other")
    (target / "model.safetensors").unlink()
    torch.save({}, target / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        SpeakerEmbedder(target, "other")
    (target / "pytorch_model.bin").rename(target / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        SpeakerEmbedder(target, "other")
