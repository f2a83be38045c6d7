"""Checkpoints that are not whole, or not Whisper's, are refused before they are loaded, and named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kani.core.errors import EngineUnavailable
from kani.engines.whisper.checkpoint.contents import read_contents
from kani.engines.whisper.checkpoint.layout import Layout
from kani.engines.whisper.engine import WhisperRecognizer
from kani.runtime.errors import CheckpointError
from tests.engines.whisper.checkpoint.conftest import Checkpoint
from tests.engines.whisper.checkpoint.random_checkpoint import parts

pytestmark = pytest.mark.heard


@pytest.fixture
def folder(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(checkpoint("multilingual"), tmp_path / "whisper-tiny"))


def edit_json(name: str, edit: Callable[[object], object]) -> Callable[[Path], None]:
    def edited(folder: Path) -> None:
        content = json.loads((folder / name).read_text("utf-8"))
        (folder / name).write_text(json.dumps(edit(content)), "utf-8")

    return edited


def put(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def replace_bytes(old: bytes, new: bytes) -> Callable[[Path], None]:
    def replaced(folder: Path) -> None:
        content = (folder / "model.bin").read_bytes()
        assert old in content
        (folder / "model.bin").write_bytes(content.replace(old, new, 1))

    return replaced


def swap(tokens: object) -> object:
    assert isinstance(tokens, list)
    tokens[100], tokens[200] = tokens[200], tokens[100]
    return tokens


def cut_off(folder: Path) -> None:
    os.truncate(folder / "model.bin", (folder / "model.bin").stat().st_size - 500)


def to_transformers(folder: Path) -> None:
    (folder / "model.bin").rename(folder / "model.safetensors")


BROKEN = [
    (remove("model.bin"), r"has no model\.bin: a checkpoint in CTranslate2's format has it"),
    (to_transformers, r"has no model\.bin: it holds a model of transformers.*ct2-transformers-converter"),
    (remove("config.json"), r"has no config\.json"),
    (
        remove("tokenizer.json"),
        r"has no tokenizer\.json: copy it from the model .*--copy_files tokenizer\.json",
    ),
    (remove("vocabulary.json"), r"has no vocabulary\.json or vocabulary\.txt"),
    (cut_off, r"model\.bin is cut off: fetch it again"),
    (put("model.bin", b""), r"model\.bin is cut off"),
    (put("model.bin", b"\x05" + b"\0" * 99), r"has the version 5 of CTranslate2's format, not 6: convert it"),
    (replace_bytes(b"WhisperSpec", b"WhisperSpoc"), r"is a 'WhisperSpoc', not a WhisperSpec"),
    (replace_bytes(b"encoder/conv1/weight", b"encoder/conv9/weight"), r"no encoder/conv1/weight with 3 dim"),
    (edit_json("vocabulary.json", lambda tokens: tokens[:-1]), r"has 51864 tokens, model\.bin 51865"),  # type: ignore[index]
    (edit_json("vocabulary.json", swap), r"token 100 is .* in tokenizer\.json and .* in vocabulary\.json"),
    (edit_json("vocabulary.json", lambda tokens: {"tokens": tokens}), r"is not a list of tokens"),
    (put("vocabulary.json", b"["), r"vocabulary\.json cannot be read"),
    (put("tokenizer.json", b"{}"), r"tokenizer\.json is not a tokenizer"),
    (put("config.json", b"[]"), r"config\.json is not a JSON object"),
    (
        edit_json("config.json", lambda _: {"alignment_heads": [[7, 0]]}),
        r"alignment_heads has \[7, 0\]; .* 2 l",
    ),
    (edit_json("config.json", lambda _: {"suppress_ids": [99_999]}), r"suppress_ids has 99999, no token"),
    (edit_json("config.json", lambda _: {"lang_ids": 5}), r"lang_ids is not a list"),
]


@pytest.mark.parametrize(("damage", "complaint"), BROKEN, ids=range(len(BROKEN)))
def test_broken_checkpoint_is_refused(folder: Path, damage: Callable[[Path], None], complaint: str) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=complaint):
        read_contents(folder)


def test_tokenizer_of_another_kind_is_refused(folder: Path, checkpoint: Checkpoint) -> None:
    shutil.copyfile(checkpoint("english") / "tokenizer.json", folder / "tokenizer.json")
    with pytest.raises(
        CheckpointError, match=r"the token <\|startoftranscript\|> is number 50257 .* and 50258"
    ):
        read_contents(folder)


def test_file_of_the_cache_that_fails_its_sha256_is_refused(folder: Path) -> None:
    content = folder / ("0" * 64)
    (folder / "model.bin").rename(content)
    (folder / "model.bin").symlink_to(content)
    with pytest.raises(CheckpointError, match=r"model\.bin fails its SHA-256"):
        read_contents(folder)


def test_vocabulary_may_be_a_text(folder: Path) -> None:
    (folder / "vocabulary.json").unlink()
    shutil.copyfile(parts("vocabulary.txt")[0], folder / "vocabulary.txt")
    contents = read_contents(folder)
    assert contents.layout == Layout(tokens=51_865, mels=80, width=32, layers=2, heads=2)
    assert contents.files["model.bin"] == folder / "model.bin"


async def test_start_names_the_setting(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    recognizer = WhisperRecognizer(models_dir=None, cache_dir=folder, model=str(folder))
    with pytest.raises(
        EngineUnavailable, match=r"^KANI_WHISPER_MODEL: .*whisper-tiny has no tokenizer\.json"
    ):
        await recognizer.start()
