"""The network's parts as a file in the cache: cut once, and again where it is broken or missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engines.kokoro.network.build_cache import BuildCache, BuildFailed
from speech.errors import EngineUnavailable

_PARTS = BuildCache(
    "kokoro-parts",
    "engines.kokoro.network.graph_surgery",
    activity="cutting the network into parts",
    unwritable_effect="Kokoro starts 2 s later each time",
)


def load(model: bytes, cache_dir: Path) -> Callable[[str], bytes]:
    """A function that gives a part of the published graph by its name (``graph_surgery``).

    model: the verified file. The parts lie in ``cache_dir`` under a name that says which file and
    which code they were made from; making them takes some 2 s. Where the cache cannot be written
    they are made at each start. Raises EngineUnavailable where they cannot be made.
    """
    try:
        archive = _PARTS.load(model, cache_dir)
    except BuildFailed as error:
        raise EngineUnavailable(
            f"Kokoro's network could not be cut into parts ({error}): install what requirements.txt names, "
            "or set KANI_KOKORO_DECODING=whole"
        ) from error
    return lambda name: archive.read(f"{name}.onnx")
