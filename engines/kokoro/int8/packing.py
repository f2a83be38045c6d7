"""Packs the generator's weights in the form that the convolutions use, and loads packed weights.

    python -m engines.kokoro.int8.packing < GENERATOR.onnx > PACKED.npz

Arrays, prefixed with the layer's name in the original network: of an int8 convolution ``levels`` int8
[outputs, inputs, taps], ``scale`` and ``bias`` [outputs], ``per_step`` and ``zero`` [inputs]; of one behind a
snake also ``alpha`` [inputs] and ``norm``, the first of its norm's channels; of a small one ``weight`` and
``bias``; and the inverse transform's ``basis``.

A server imports this module to load packed weights; only the child process that packs them imports ``onnx``.
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engines.kokoro.int8.layers import Convolution, Layers, Upsampling, residual_blocks
from engines.kokoro.network.build_cache import BuildCache
from engines.kokoro.network.onnx_model import Array
from engines.kokoro.voices import INDEX_FILE

PackedWeights = Mapping[str, npt.NDArray[np.generic]]

SCALES_FILE = "scales.npz"
SCALES_ORIGIN_FILE = "scales.json"

_FOLDER = Path(__file__).parent
_KOKORO = _FOLDER.parent
_NPY = ".npy"

CURVES, CURVE_BLOCKS = ("F0", "N"), 3
"""Branches of the curves part (pitch, energy) by their names in the original network, and blocks of each."""

MAX_LEVEL = 127
# Processors without VNNI add the products of two neighbouring byte pairs in 16 bits, which hold 255 · 128.
# The rounding of two levels may add one to their sum.
MAX_PAIR_SUM = 127


class Scale(NamedTuple):
    """Quantisation of a convolution's input by channel [C]: clip(⌊value / step + zero + ½⌋, 0, 255)."""

    step: Array
    zero: npt.NDArray[np.uint8]


Scales = Mapping[str, Scale]
"""By a convolution's name in the original network."""


def load_scales() -> Scales:
    """Load the calibrated scales that ship (``offline/calibrate.py``).

    Raises OSError, ValueError or KeyError where the file is missing or broken.
    """
    with (_KOKORO / "data" / SCALES_FILE).open("rb") as file, np.load(file) as data:
        names = [name.removesuffix(".step") for name in data.files if name.endswith(".step")]
        return {name: Scale(data[f"{name}.step"], data[f"{name}.zero"]) for name in names}


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


def pack_generator(layers: Layers, scales: Scales, pairs: bool) -> dict[str, npt.NDArray[np.generic]]:
    """Pack all weights of the generator; pairs: as in ``quantise_weight``."""
    packed: dict[str, npt.NDArray[np.generic]] = {}

    def integer(name: str, weight: Array, bias: Array) -> None:
        scale_of = scales[name]
        levels, scale = quantise_weight(weight * scale_of.step[:, None], pairs)
        lifted = (levels.astype(np.float64).sum(axis=2) @ scale_of.zero) * scale
        packed[f"{name}.levels"] = levels
        packed[f"{name}.scale"] = scale
        packed[f"{name}.bias"] = (bias - lifted).astype(np.float32)
        packed[f"{name}.per_step"] = 1 / scale_of.step
        packed[f"{name}.zero"] = scale_of.zero.astype(np.float32)

    def small(convolution: Convolution) -> None:
        packed[f"{convolution.name}.weight"] = convolution.weight
        packed[f"{convolution.name}.bias"] = convolution.bias

    for stage in layers.stages:
        up = stage.upsampling
        integer(up.name, as_two_tap_weight(up), np.tile(up.bias, up.stride))
        small(stage.source)
    for block in residual_blocks(layers):
        for pair in block.pairs:
            for step in pair:
                convolution = step.convolution
                integer(convolution.name, convolution.weight, convolution.bias)
                packed[f"{convolution.name}.alpha"] = step.snake.alpha
                packed[f"{convolution.name}.norm"] = np.array(step.snake.norm)
    small(layers.last)
    packed["basis"] = layers.basis
    return packed


def dynamic_convolution(
    name: str, levels: npt.NDArray[np.int8], scale: Array, bias: Array | None, smooth: Array
) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a convolution with a dynamic step, as ``features_packing`` documents them."""
    lifted = levels.sum(axis=(1, 2), dtype=np.int64) * scale
    arrays = {
        "levels": levels,
        "scale": scale,
        "bias": np.zeros_like(scale) if bias is None else bias,
        "lifted": lifted.astype(np.float32),
        "smooth": smooth,
    }
    return {f"{name}.{kind}": array for kind, array in arrays.items()}


def as_two_tap_weight(upsampling: Upsampling) -> Array:
    """Rewrite an upsampling as a convolution [stride · outputs, inputs, 2] with ``stride`` rows a step.

    Output row r of input row t is the sum of tap r of row t and tap r + stride of row t − 1.
    """
    inputs, outputs, _ = upsampling.weight.shape
    taps = upsampling.weight.reshape(inputs, outputs, 2, upsampling.stride)[:, :, ::-1]
    return np.ascontiguousarray(taps.transpose(3, 1, 0, 2)).reshape(-1, inputs, 2)


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
    sources = [_FOLDER / name for name in ("layers.py", "graph_layers.py")]
    sources += [_KOKORO / "data" / SCALES_FILE]
    return _packed("generator", "packing", generator, cache_dir, sources, pairs=pairs)


def load_feature_weights(
    decoder: bytes, cache_dir: Path, *, pairs: bool
) -> AbstractContextManager[PackedWeights]:
    """Open the decoder part's packed weights; pairs: as in ``quantise_weight``.

    Packing takes 4 s, unless they are in ``cache_dir`` already. Raises BuildFailed.
    """
    sources = [_FOLDER / "packing.py", _KOKORO / "network/dequantize.py", _KOKORO / "data" / INDEX_FILE]
    return _packed("features", "features_packing", decoder, cache_dir, sources, pairs=pairs)


def load_curve_weights(
    curves: bytes, cache_dir: Path, *, pairs: bool
) -> AbstractContextManager[PackedWeights]:
    """Open the curves part's packed weights; pairs: as in ``quantise_weight``.

    Packing takes 1 s, unless they are in ``cache_dir`` already. Raises BuildFailed.
    """
    sources = [_FOLDER / "packing.py"]
    return _packed("curves", "curves_packing", curves, cache_dir, sources, pairs=pairs)


@contextmanager
def _packed(
    name: str, module: str, part: bytes, cache_dir: Path, sources: Sequence[Path], *, pairs: bool
) -> Iterator[PackedWeights]:
    cache = BuildCache(
        f"kokoro-fast-{name}-{'pairs' if pairs else 'single'}",
        f"engines.kokoro.int8.{module}",
        activity=f"packing the weights of the fast decoder ({name})",
        unwritable_effect="the fast decoder takes some seconds longer at each start",
        sources=sources,
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


if __name__ == "__main__":
    # Runs in a child process: onnx takes memory that the server would not get back.
    from engines.kokoro.int8.graph_layers import read_layers

    run_packing(
        lambda generator, pairs: pack_generator(read_layers(generator), load_scales(), pairs),
        "generator",
    )
