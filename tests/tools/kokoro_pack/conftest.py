"""Fixtures of the tests of what packs Kokoro's network."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kani.engines.kokoro.voices import Voices
from tests.engines.conftest import onnx_engine, part, published

__all__ = ["onnx_engine", "part", "published"]

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Make a checkpoint, a file and voices of Kokoro's: ``make_folder("de", sara="if_sara")``.

    The network is no graph unless its bytes are given.
    """

    def make(name: str, network: bytes = b"no graph", **voices: str) -> Path:
        folder = tmp_path / name
        (folder / "voices").mkdir(parents=True)
        (folder / "model.onnx").write_bytes(network)
        for voice, source in (voices or {"martin": "im_nicola"}).items():
            table = Voices().table(source).astype("<f4")
            (folder / "voices" / f"{voice}.bin").write_bytes(table.tobytes())
        return folder

    return make
