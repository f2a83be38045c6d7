"""Engines that several test files share."""

import asyncio
import os
import sys
from collections.abc import Iterator
from functools import cache as remembering
from functools import partial
from pathlib import Path

import pytest

from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.parts import LoadPart
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from tools.kokoro_pack.graph_surgery import Surgery
from tools.kokoro_pack.onnx_generator import on_onnxruntime
from tools.kokoro_pack.published import published_graph


@pytest.fixture(scope="session")
def engine(kokoro: KokoroEngine) -> KokoroEngine:
    """Kokoro as the server starts it."""
    return kokoro


@pytest.fixture(scope="session")
def onnx_engine(part: LoadPart, cache: Path) -> Iterator[KokoroEngine]:
    """Kokoro with the published graph on onnxruntime, in windows; once for all tests."""
    made = KokoroEngine(KokoroSettings(), Resources(cache))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kani.engines.kokoro.engine._load_model", partial(on_onnxruntime, part))
        asyncio.run(made.start())
    yield made
    asyncio.run(made.stop())


@pytest.fixture(scope="session")
def published() -> bytes:
    """The int8 export, from the installed packages."""
    return published_graph(Path("unused"))


@pytest.fixture(scope="session")
def part(published: bytes) -> LoadPart:
    """Gives the parts of the published graph by their names."""
    return remembering(Surgery(published).part)


@pytest.fixture(autouse=True, scope="module")
def _threads() -> Iterator[None]:
    """Have torch compute with one thread a call: small networks are slower on two, far slower if busy."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(os.cpu_count() or 1)
