"""Loads what comes before the generator: the decoder part in int8, and the source."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.kokoro.fast.cores import Cores
from engines.kokoro.fast.features import FastFeatures
from engines.kokoro.fast.loading import Unfit
from engines.kokoro.fast.source import HarmonicSource
from engines.kokoro.front import Decoded
from engines.kokoro.made_once import MadeOnce
from engines.kokoro.model import Array, Network, Stop

_PROBE_FRAMES = 12
_SAME = 1e-5
_NPY = ".npy"


class FastFront:
    """See ``engines.kokoro.front.Front``."""

    def __init__(self, features: FastFeatures, source: HarmonicSource) -> None:
        self._features, self._source = features, source

    def decoded(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> Decoded:
        """See ``Front.decoded``."""
        return self._features.of(asr, pitch, energy, style, stop)

    def spectra(self, phase: Array, pitch: Array, first: int, end: int) -> Array:
        """See ``Front.spectra``."""
        return self._source.spectra(phase, pitch, first, end)


def load_front(part: Callable[[str], bytes], cache_dir: Path, cores: Cores, *, pairs: bool) -> FastFront:
    """The front, its source compared with the published graph's; takes 1 s, at the first start 4 s more.

    part: gives a part of the graph by its name (``graph_surgery``); pairs: as ``packing`` takes it. Raises
    NotMade, ModelFailed, or Unfit.
    """
    source = HarmonicSource()
    check_source(source, Network(part("source"), 1))
    with packed_features(part("decoder"), cache_dir, pairs=pairs) as archive:
        return FastFront(FastFeatures(_Arrays(archive), cores), source)


class _Arrays(Mapping[str, npt.NDArray[np.generic]]):
    """The arrays of an archive, each read when it is asked for: together they would stay in the memory."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        with self._archive.open(name + _NPY) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def __iter__(self) -> Iterator[str]:
        return (name.removesuffix(_NPY) for name in self._archive.namelist())

    def __len__(self) -> int:
        return len(self._archive.namelist())


def packed_features(decoder: bytes, cache_dir: Path, *, pairs: bool) -> zipfile.ZipFile:
    """What ``features_packing`` makes of the graph's decoder part. Raises NotMade."""
    folder = Path(__file__).parent
    return MadeOnce(
        "kokoro-features-pairs" if pairs else "kokoro-features-single",
        "engines.kokoro.fast.features_packing",
        making="packing the weights of the fast decoder's features",
        unwritable="the fast decoder is ready 4 s later each time",
        sources=(folder / "packing.py", folder.parent / "dequantize.py"),
        arguments=("--pairs",) if pairs else (),
    ).load(decoder, cache_dir)


def check_source(source: HarmonicSource, graph: Network) -> None:
    """Compare it with the graph's, where something is voiced and where nothing is. Raises Unfit.

    A C library with other sines, or an onnxruntime with another transform, would be found out here.
    """
    halves = 2 * _PROBE_FRAMES
    pitch = np.linspace(80, 320, halves, dtype=np.float32)[np.newaxis]
    pitch[:, halves // 3 : halves // 2] = 0
    # As large as they are after half a minute.
    turns = np.linspace(0, 250, halves, dtype=np.float32)[:, np.newaxis] * np.arange(1, 10, dtype=np.float32)
    phase = turns[np.newaxis].astype(np.float32)
    (expected,) = graph.run({"phase": phase, "pitch": pitch}, ("spectra",), Stop())
    apart = np.abs(source.spectra(phase, pitch, 0, _PROBE_FRAMES) - expected).max()
    if not apart <= _SAME:
        raise Unfit(f"the source is rounded otherwise than the published graph's ({apart:.1g} apart)")
