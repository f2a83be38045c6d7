"""The packed weights as files in the cache: made once, and again where one is broken or missing."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.kokoro.int8.scales import SCALES_FILE
from engines.kokoro.network.build_cache import BuildCache
from engines.kokoro.voices import INDEX_FILE

PackedWeights = Mapping[str, npt.NDArray[np.generic]]

_FOLDER = Path(__file__).parent
_KOKORO = _FOLDER.parent
_NPY = ".npy"


def load_generator_weights(
    generator: bytes, cache_dir: Path, *, pairs: bool
) -> AbstractContextManager[PackedWeights]:
    """What ``packing`` makes of the graph's generator; pairs: as it takes it.

    Takes 3 s where it isn't in ``cache_dir`` yet. Raises NotMade.
    """
    sources = [_FOLDER / name for name in ("layers.py", "graph_layers.py")]
    sources += [_KOKORO / "data" / SCALES_FILE]
    return _packed("generator", "packing", generator, cache_dir, sources, pairs=pairs)


def load_feature_weights(
    decoder: bytes, cache_dir: Path, *, pairs: bool
) -> AbstractContextManager[PackedWeights]:
    """What ``features_packing`` makes of the graph's decoder part; pairs: as it takes it.

    Takes 4 s where it isn't in ``cache_dir`` yet. Raises NotMade.
    """
    sources = [_FOLDER / "packing.py", _KOKORO / "network/dequantize.py", _KOKORO / "data" / INDEX_FILE]
    return _packed("features", "features_packing", decoder, cache_dir, sources, pairs=pairs)


@contextmanager
def _packed(
    name: str, module: str, part: bytes, cache_dir: Path, sources: Sequence[Path], *, pairs: bool
) -> Iterator[PackedWeights]:
    made = BuildCache(
        f"kokoro-fast-{name}-{'pairs' if pairs else 'single'}",
        f"engines.kokoro.int8.{module}",
        activity=f"packing the weights of the fast decoder ({name})",
        unwritable_effect="the fast decoder is ready some seconds later each time",
        sources=sources,
        arguments=("--pairs",) if pairs else (),
    )
    with made.load(part, cache_dir) as archive:
        yield _Arrays(archive)


class _Arrays(PackedWeights):
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
