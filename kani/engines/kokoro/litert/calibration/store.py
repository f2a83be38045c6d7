"""What the calibration is given and what it makes, and the cache of the latter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import kani.engines.kokoro.litert.packing.store as packing_store
from kani.engines.kokoro.litert.packing.store import PackedArchive, write_archive
from kani.engines.kokoro.network.decoder import Window
from kani.engines.kokoro.network.onnx_model import Array
from kani.runtime.build_cache import BuildCache, ChildProcess

_HERE, _PACKING = Path(__file__).parent, Path(packing_store.__file__).parent
_SOURCES = (
    *(_HERE / f"{name}.py" for name in ("float_generator", "scales", "store")),
    *sorted(_PACKING.glob("*.py")),
)
_GENERATOR = "generator.onnx"
_ARRAYS = ("features", "spectra", "scale", "shift")


def written(generator: bytes, sentences: Sequence[Window]) -> bytes:
    """Return the input of ``build``: ``graph_surgery``'s part, and its inputs for whole sentences."""
    content: dict[str, bytes | npt.NDArray[np.generic]] = {_GENERATOR: generator}
    for number, sentence in enumerate(sentences):
        content.update(write_window(str(number), sentence))
    return write_archive(content)


def given(archive: PackedArchive) -> tuple[bytes, list[Window]]:
    """Return what ``written`` was given."""
    numbers = sorted({name.partition(".")[0] for name in archive.names() if name != _GENERATOR}, key=int)
    return archive.content(_GENERATOR), [read_window(number, archive) for number in numbers]


def write_window(name: str, window: Window) -> dict[str, Array]:
    """Return the arrays of a window, for ``write_archive``."""
    return {f"{name}.{kind}": getattr(window, kind) for kind in _ARRAYS}


def read_window(name: str, archive: PackedArchive, context: int = 0) -> Window:
    """Read the arrays of a window; context: its frames on either side."""
    features, spectra, scale, shift = (archive.array(f"{name}.{kind}") for kind in _ARRAYS)
    return Window(features, spectra, scale, shift, context, context)


def load_calibrated(
    key: str, source: Callable[[], bytes], name: str, cache_dir: Path, child: ChildProcess | None = None
) -> PackedArchive:
    """Open a calibrated generator: from ``cache_dir``, or made now, which takes a minute or two.

    key: of all that it depends on, in hexadecimal; source: returns the input of ``build``, only where it is
    needed; name: for its file and the log; child: the program that makes it. Raises BuildFailed, and what
    ``source`` raises.
    """
    cache = BuildCache(
        f"kokoro-calibrated-{name}",
        "kani.engines.kokoro.litert.calibration.build",
        activity=f"Kokoro: calibrating the fast decoder for {name}, beside its speech",
        unwritable_effect=f"each start calibrates the fast decoder for {name} again",
        takes="a minute or two",
        sources=_SOURCES,
        child=child,
    )
    return PackedArchive(cache.load_known(key, source, cache_dir))
