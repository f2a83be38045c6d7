"""Loads the network as the LiteRT decoder needs it, packed once in a child process (``pack``).

A server imports this module; only the child process imports ``onnx``.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.kokoro.network.build_cache import BuildCache
from engines.kokoro.network.onnx_model import Array
from engines.kokoro.voices import INDEX_FILE

PackedWeights = Mapping[str, npt.NDArray[np.generic]]

_FOLDER = Path(__file__).parent
_KOKORO = _FOLDER.parents[1]

DATA = _KOKORO / "data"
"""Folder of the files that ship with Kokoro."""

SCALES_FILE = "scales.npz"

CURVES, CURVE_BLOCKS = ("F0", "N"), 3
"""Branches of the curves part (pitch, energy) by their names in the original network, and blocks of each."""

MAX_LEVEL = 127

_NPY, _ONNX = ".npy", ".onnx"

_PACKED = BuildCache(
    "kokoro-litert",
    "engines.kokoro.litert.packing.pack",
    activity="packing the network",
    unwritable_effect="each start of Kokoro takes some seconds longer",
    sources=(
        *(
            _FOLDER / f"{name}.py"
            for name in ("weights", "curves", "features", "generator", "graph_layers", "layers")
        ),
        _KOKORO / "network" / "graph_surgery.py",
        *(DATA / name for name in (SCALES_FILE, INDEX_FILE)),
    ),
)


def quantise_weight(weight: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Quantise ``weight`` [outputs, inputs, taps]: levels, and the value of one level [outputs]."""
    most = np.abs(weight).reshape(len(weight), -1).max(axis=1) / MAX_LEVEL
    scale = np.maximum(most, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(weight / scale[:, None, None]).astype(np.int8), scale


def dynamic_convolution(
    name: str, levels: npt.NDArray[np.int8], scale: Array, bias: Array | None, smooth: Array
) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a convolution with a dynamic step, as ``features`` documents them."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "levels": levels,
        "scale": scale,
        "bias": np.zeros_like(scale) if bias is None else bias,
        "smooth": smooth,
    }
    return {f"{name}.{kind}": array for kind, array in arrays.items()}


class PackedNetwork:
    """The packed network: graphs that onnxruntime computes, and weights of LiteRT's."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def graph(self, name: str) -> bytes:
        """A part of ``graph_surgery``: ``encoder`` or ``source``."""
        return self._archive.read(name + _ONNX)

    def weights(self, name: str) -> PackedWeights:
        """Weights of ``curves``, ``features`` or ``generator``, as the module of that name packs them."""
        return _Arrays(self._archive, f"{name}/")


@contextmanager
def load_packed(model: bytes, cache_dir: Path) -> Iterator[PackedNetwork]:
    """Open the packed network; model: the published graph.

    It is packed first, which takes 2 s, unless it is in ``cache_dir``. Raises BuildFailed.
    """
    with _PACKED.load(model, cache_dir) as archive:
        yield PackedNetwork(archive)


def write_archive(graphs: Mapping[str, bytes], weights: Mapping[str, PackedWeights]) -> bytes:
    """Write what ``PackedNetwork`` reads."""
    file = io.BytesIO()
    # Stored: weights don't compress, and the archive serves only for its checksums.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in graphs.items():
            archive.writestr(name + _ONNX, content)
        for part, arrays in weights.items():
            for name, array in arrays.items():
                with archive.open(f"{part}/{name}{_NPY}", "w") as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)
    return file.getvalue()


class _Arrays(PackedWeights):
    """Arrays of an archive, each read on access, so that they are not all in memory at once."""

    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        self._archive, self._prefix = archive, prefix
        self._names = [
            name.removeprefix(prefix).removesuffix(_NPY)
            for name in archive.namelist()
            if name.startswith(prefix)
        ]

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        with self._archive.open(f"{self._prefix}{name}{_NPY}") as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
