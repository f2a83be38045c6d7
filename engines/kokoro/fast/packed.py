"""The packed weights as a file in the cache: made once, and again where it is broken or missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.kokoro.fast.packing import Packed
from engines.kokoro.fast.scales import DATA_FILE
from engines.kokoro.made_once import MadeOnce

_FOLDER = Path(__file__).parent
_SUFFIX = ".npy"


def packed(generator: bytes, cache_dir: Path, *, pairs: bool) -> Packed:
    """What ``packing`` makes of the graph's generator; pairs: as it takes it.

    Takes 3 s where it isn't in ``cache_dir`` yet. Raises NotMade.
    """
    archive = MadeOnce(
        "kokoro-fast-pairs" if pairs else "kokoro-fast-single",
        "engines.kokoro.fast.packing",
        making="packing the weights of the fast decoder",
        unwritable="the fast decoder is ready 3 s later each time",
        sources=(_FOLDER / "layers.py", _FOLDER / DATA_FILE),
        arguments=("--pairs",) if pairs else (),
    ).load(generator, cache_dir)
    with archive:
        arrays = {}
        for name in archive.namelist():
            with archive.open(name) as file:
                arrays[name.removesuffix(_SUFFIX)] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays
