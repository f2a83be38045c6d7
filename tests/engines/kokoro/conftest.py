"""Fixtures of the tests of Kokoro."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.voices import Voices
from kani.engines.plugin import Resources
from kani.runtime import weights

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def published() -> bytes:
    """The int8 export, from the installed packages."""
    return weights.load(weights.KOKORO, models_dir=None, cache_dir=Path("unused"))


@pytest.fixture(scope="module")
def student() -> Iterator[KokoroEngine]:
    """The students that ship, without Kokoro."""
    made = KokoroEngine(KokoroSettings(student="only"), Resources(Path("no-such-folder")))
    asyncio.run(made.start())
    yield made
    asyncio.run(made.stop())


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
