"""Untrusted .nemo archives: anything unexpected is refused by name."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from kani.engines.kani.model.codec.checkpoint import build_decoder
from kani.engines.kani.model.codec.config import NanoCodecConfig
from kani.engines.kani.model.codec.nemo_archive import (
    CONFIG_NAME,
    MAX_CONFIG_BYTES,
    MAX_MEMBERS,
    WEIGHTS_NAME,
    read_nemo,
)
from kani.runtime.errors import CheckpointError
from tests.engines.kani.model.codec import tiny_codec

SETTINGS = tiny_codec.config(tiny_codec.TINY)
WEIGHTS = tiny_codec.weights(SETTINGS, key=1)


def saved(weights: object) -> bytes:
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()


MEMBERS = {CONFIG_NAME: yaml.safe_dump(SETTINGS).encode(), WEIGHTS_NAME: saved(WEIGHTS)}


@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_plain_and_gzipped_archives_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "codec.nemo"
    tiny_codec.pack(path, MEMBERS, mode)
    config, weights = read_nemo(path)
    assert config == SETTINGS
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", f"../{WEIGHTS_NAME}", f"sub/{CONFIG_NAME}"])
def test_other_members_are_neither_read_nor_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / "inside" / "codec.nemo"
    path.parent.mkdir()
    with tarfile.open(path, "w:") as archive:
        for member_name, content in {name: b"evil", **MEMBERS}.items():
            member = tarfile.TarInfo(member_name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    config, weights = read_nemo(path)
    assert config == SETTINGS and weights.keys() == WEIGHTS.keys()
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["codec.nemo", "inside"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_irregular_member_is_refused(tmp_path: Path, kind: bytes) -> None:
    target = tmp_path / "secret.yaml"
    target.write_bytes(MEMBERS[CONFIG_NAME])
    path = tmp_path / "codec.nemo"
    with tarfile.open(path, "w:") as archive:
        link = tarfile.TarInfo(CONFIG_NAME)
        link.type, link.linkname = kind, str(target)
        archive.addfile(link)
    with pytest.raises(CheckpointError, match=r"model_config\.yaml is not a regular file"):
        read_nemo(path)


@pytest.mark.parametrize("missing", [CONFIG_NAME, WEIGHTS_NAME])
def test_missing_member_is_named(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "codec.nemo"
    tiny_codec.pack(path, {name: content for name, content in MEMBERS.items() if name != missing})
    with pytest.raises(CheckpointError, match=f"no member named {missing}"):
        read_nemo(path)


def test_duplicate_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "codec.nemo"
    tiny_codec.pack(path, MEMBERS)
    with tarfile.open(path, "a:") as archive:
        archive.addfile(tarfile.TarInfo(CONFIG_NAME))
    with pytest.raises(CheckpointError, match="two members"):
        read_nemo(path)


@pytest.mark.parametrize("size", [MAX_CONFIG_BYTES + 1, 1 << 40])
def test_huge_declared_size_is_refused_unread(tmp_path: Path, size: int) -> None:
    path = tmp_path / "codec.nemo"
    member = tarfile.TarInfo(CONFIG_NAME)
    member.size = size
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    with path.open("r+b") as file:
        os.truncate(file.fileno(), 512 + size if size < 1 << 30 else 4096)
    with pytest.raises(CheckpointError, match=r"bytes"):
        read_nemo(path)


def test_endless_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "codec.nemo"
    tiny_codec.pack(path, {f"{n}": b"" for n in range(MAX_MEMBERS + 1)})
    with pytest.raises(CheckpointError, match="more than 256 members"):
        read_nemo(path)


def test_invalid_archive_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "codec.nemo"
    for mode in ("w:", "w:gz"):
        tiny_codec.pack(whole, MEMBERS, mode)
        torn = tmp_path / "torn.nemo"
        for content in (whole.read_bytes()[:20_000], b"", b"\x1f\x8b", b"hello" * 1000):
            torn.write_bytes(content)
            with pytest.raises(CheckpointError, match=r"torn\.nemo: "):
                read_nemo(torn)


class Evil:
    """Unpickled, it would write a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.victim,)


def test_pickled_code_is_not_executed(tmp_path: Path) -> None:
    path, victim = tmp_path / "codec.nemo", tmp_path / "victim"
    tiny_codec.pack(path, MEMBERS | {WEIGHTS_NAME: saved({"x": Evil(victim)})})
    with pytest.raises(CheckpointError, match="not a file of tensors"):
        read_nemo(path)
    assert not victim.exists()


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    repacked = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(MEMBERS[WEIGHTS_NAME])) as plain:
        with zipfile.ZipFile(repacked, "w", zipfile.ZIP_DEFLATED) as packed:
            for entry in plain.infolist():
                packed.writestr(entry.filename, plain.read(entry))
    path = tmp_path / "codec.nemo"
    tiny_codec.pack(path, MEMBERS | {WEIGHTS_NAME: repacked.getvalue()})
    with pytest.raises(CheckpointError, match="compressed"):
        read_nemo(path)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {1: torch.zeros(1)}])
def test_weights_without_named_tensors_are_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "codec.nemo"
    tiny_codec.pack(path, MEMBERS | {WEIGHTS_NAME: saved(content)})
    with pytest.raises(CheckpointError, match=r"not a tensor|no mapping"):
        read_nemo(path)


@pytest.mark.parametrize("content", [b"- 1", b"a: [", b"\xff\xfe\x00", b"!!python/object/apply:os.getcwd []"])
def test_config_without_mapping_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "codec.nemo"
    tiny_codec.pack(path, MEMBERS | {CONFIG_NAME: content})
    with pytest.raises(CheckpointError, match=CONFIG_NAME):
        read_nemo(path)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("audio_decoder", "activation", "snake"),
        ("audio_decoder", "output_activation", "sigmoid"),
        ("audio_decoder", "input_dim", 17),
        ("audio_decoder", "up_sample_rates", [3, 2]),
        ("audio_decoder", "up_sample_rates", "322"),
        ("audio_decoder", "base_channels", 50),
        ("audio_decoder", "base_channels", True),
        ("audio_decoder", "n_groups_equal_to_out_channels", False),
        ("audio_decoder", "resblock_kernel_sizes", [3, -7]),
        ("audio_decoder", "_target_", "nemo.HiFiGANDecoder"),
        ("vector_quantizer", "num_levels_per_group", []),
        ("vector_quantizer", "num_levels_per_group", [9, 1, 8, 7]),
        ("vector_quantizer", "_target_", "nemo.ResidualVectorQuantizer"),
    ],
)
def test_misfit_config_names_key(section: str, key: str, value: object) -> None:
    settings = SETTINGS | {section: SETTINGS[section] | {key: value}}
    with pytest.raises(CheckpointError, match=f"{section}.{key}"):
        NanoCodecConfig.parse(settings)


@pytest.mark.parametrize("key", ["audio_decoder", "vector_quantizer", "sample_rate", "samples_per_frame"])
def test_missing_config_key_is_named(key: str) -> None:
    with pytest.raises(CheckpointError, match=key):
        NanoCodecConfig.parse({name: value for name, value in SETTINGS.items() if name != key})


NAME = (
    "audio_decoder.res_layers.1.res_blocks.2.res_blocks.0.input_conv.conv.parametrizations.weight.original1"
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "is missing"),
        (torch.zeros(3, 3, 11), r"shape \(3, 3, 11\); floats of shape \(12, 12, 11\)"),
        (torch.zeros(12, 12, 11, dtype=torch.int32), "is torch.int32"),
    ],
)
def test_misfit_weights_name_key_and_shape(wrong: torch.Tensor | None, message: str) -> None:
    weights = {name: value for name, value in WEIGHTS.items() if name != NAME}
    if wrong is not None:
        weights[NAME] = wrong
    with pytest.raises(CheckpointError, match=f"{NAME}.*{message}"):
        build_decoder(NanoCodecConfig.parse(SETTINGS), weights)
