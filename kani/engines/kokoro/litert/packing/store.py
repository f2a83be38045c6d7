"""Loads the network as the LiteRT decoder needs it: graphs for onnxruntime, models for LiteRT, small arrays.

They are made once, by two child processes (``pack``), and kept in the cache folder.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.litert.packing.weights import DATA, SCALES_FILE
from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.network.parts_cache import PARTS
from kani.engines.kokoro.voices import INDEX_FILE
from kani.runtime.build_cache import BuildCache

CONTEXT_FRAMES = 6
"""Frames of context of a window on either side. The receptive field is four frames for the features, and five
and a half for the source with its block."""

_FOLDER = Path(__file__).parent
_SOURCES = (
    *sorted(path for path in _FOLDER.glob("*.py") if path.stem not in ("__init__", "pack")),
    _FOLDER.parents[1] / "network" / "graph_surgery.py",
    *(DATA / name for name in (SCALES_FILE, INDEX_FILE)),
)


def _cache(half: str) -> BuildCache:
    return BuildCache(
        f"kokoro-litert-{half}",
        "kani.engines.kokoro.litert.packing.pack",
        activity=f"Kokoro: packing the network's {half}",
        unwritable_effect="each start of Kokoro takes some seconds longer",
        replaces=(PARTS,),  # what another decoder reads
        sources=_SOURCES,
        arguments=(half,),
    )


PROSODY, GENERATOR = _cache("prosody"), _cache("generator")


class PackedArchive:
    """Graphs, models and arrays by name; read on access. Thread-safe."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def names(self) -> list[str]:
        return [name.removesuffix(".npy") for name in self._archive.namelist()]

    def content(self, name: str) -> bytes:
        return self._archive.read(name)

    def array(self, name: str) -> Array:
        """An array in float32."""
        with self._archive.open(f"{name}.npy") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class PackedNetwork:
    """Everything before the generator, and the generator."""

    prosody: PackedArchive
    generator: PackedArchive


def load_packed(sha256: str, read_model: Callable[[], bytes], cache_dir: Path) -> PackedNetwork:
    """Open the packed network of the published graph.

    sha256: of the graph's file, in hexadecimal; read_model: reads it, where it has to be packed first, which
    takes 2 s on two cores. Raises BuildFailed, and what ``read_model`` raises.
    """
    halves = PROSODY, GENERATOR
    with ThreadPoolExecutor(2) as pool:
        prosody, generator = pool.map(lambda half: half.cached(sha256, cache_dir), halves)
        if prosody is None or generator is None:
            # Read once for both.
            model = read_model()
            prosody, generator = pool.map(
                lambda half: half.load_known(sha256, lambda: model, cache_dir), halves
            )
    return PackedNetwork(PackedArchive(prosody), PackedArchive(generator))


def write_archive(content: Mapping[str, bytes | npt.NDArray[np.generic]]) -> bytes:
    """Write what ``PackedArchive`` reads."""
    file = io.BytesIO()
    # Stored: weights don't compress, and the archive serves only for its checksums.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, value in content.items():
            if isinstance(value, bytes):
                archive.writestr(name, value)
            else:
                with archive.open(f"{name}.npy", "w") as entry:
                    np.lib.format.write_array(entry, value, allow_pickle=False)
    return file.getvalue()
