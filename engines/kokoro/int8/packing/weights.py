"""Packs the fast decoder's weights in child processes, and loads the packed ones.

A server imports this module; only the child processes import ``onnx``.
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
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

_NPY = ".npy"

CURVES, CURVE_BLOCKS = ("F0", "N"), 3
"""Branches of the curves part (pitch, energy) by their names in the original network, and blocks of each."""

MAX_LEVEL = 127
# Processors without VNNI add the products of two neighbouring byte pairs in 16 bits, which hold 255 · 128.
# The rounding of two levels may add one to their sum.
MAX_PAIR_SUM = 127


def quantise_weight(weight: Array, pairs: bool) -> tuple[npt.NDArray[np.int8], Array]:
    """Quantise ``weight`` [outputs, inputs, taps]: levels, and the value of one level [outputs].

    pairs: whether the levels of two neighbouring inputs must fit into one byte together.
    """
    magnitude = np.abs(weight)
    if pairs:
        most = (magnitude[:, 0::2] + magnitude[:, 1::2]).max(axis=(1, 2)) / MAX_PAIR_SUM
    else:
        most = magnitude.max(axis=(1, 2)) / MAX_LEVEL
    scale = np.maximum(most, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(weight / scale[:, None, None]).astype(np.int8), scale


def dynamic_convolution(
    name: str, levels: npt.NDArray[np.int8], scale: Array, bias: Array | None, smooth: Array
) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a convolution with a dynamic step, as ``features`` documents them."""
    lifted = levels.sum(axis=(1, 2), dtype=np.int64) * scale
    arrays = {
        "levels": levels,
        "scale": scale,
        "bias": np.zeros_like(scale) if bias is None else bias,
        "lifted": lifted.astype(np.float32),
        "smooth": smooth,
    }
    return {f"{name}.{kind}": array for kind, array in arrays.items()}


def run_packing(pack_part: Callable[[bytes, bool], dict[str, npt.NDArray[np.generic]]], what: str) -> None:
    """Run a packing's command line: a part of the graph on standard input, an archive on standard output.

    pack_part: packs the part; its second argument is ``pairs`` of ``quantise_weight``.
    """
    parser = argparse.ArgumentParser(description=f"Pack the weights of the {what}.")
    parser.add_argument("--pairs", action="store_true", help="for processors without VNNI")
    packed = pack_part(sys.stdin.buffer.read(), parser.parse_args().pairs)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **packed)
    sys.stdout.buffer.write(file.getvalue())


def load_generator_weights(
    generator: bytes, cache_dir: Path, *, pairs: bool
) -> AbstractContextManager[PackedWeights]:
    """Open the generator's packed weights; pairs: as in ``quantise_weight``.

    Packing takes 3 s, unless they are in ``cache_dir`` already. Raises BuildFailed.
    """
    sources = (_FOLDER / "layers.py", _FOLDER / "graph_layers.py", DATA / SCALES_FILE)
    return _packed("generator", generator, cache_dir, sources, pairs=pairs)


def load_feature_weights(
    decoder: bytes, cache_dir: Path, *, pairs: bool
) -> AbstractContextManager[PackedWeights]:
    """Open the decoder part's packed weights; pairs: as in ``quantise_weight``.

    Packing takes 4 s, unless they are in ``cache_dir`` already. Raises BuildFailed.
    """
    sources = (_KOKORO / "network/dequantize.py", DATA / INDEX_FILE)
    return _packed("features", decoder, cache_dir, sources, pairs=pairs)


def load_curve_weights(
    curves: bytes, cache_dir: Path, *, pairs: bool
) -> AbstractContextManager[PackedWeights]:
    """Open the curves part's packed weights; pairs: as in ``quantise_weight``.

    Packing takes 1 s, unless they are in ``cache_dir`` already. Raises BuildFailed.
    """
    return _packed("curves", curves, cache_dir, pairs=pairs)


@contextmanager
def _packed(
    name: str, part: bytes, cache_dir: Path, sources: Sequence[Path] = (), *, pairs: bool
) -> Iterator[PackedWeights]:
    """Open what the module ``name`` of this folder packs; sources: files that it depends on, besides this."""
    cache = BuildCache(
        f"kokoro-fast-{name}-{'pairs' if pairs else 'single'}",
        f"engines.kokoro.int8.packing.{name}",
        activity=f"packing the weights of the fast decoder ({name})",
        unwritable_effect="the fast decoder takes some seconds longer at each start",
        sources=(Path(__file__), *sources),
        arguments=("--pairs",) if pairs else (),
    )
    with cache.load(part, cache_dir) as archive:
        yield _Arrays(archive)


class _Arrays(PackedWeights):
    """Arrays of an archive, each read on access, so that they are not all in memory at once."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        with self._archive.open(name + _NPY) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def __iter__(self) -> Iterator[str]:
        return (name.removesuffix(_NPY) for name in self._archive.namelist())

    def __len__(self) -> int:
        return len(self._archive.namelist())
