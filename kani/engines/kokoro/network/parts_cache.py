"""Build cache of the network's parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kani.core.errors import EngineUnavailable
from kani.runtime.build_cache import BuildCache, BuildFailed
from kani.runtime.extras import install_command

PARTS = "kokoro-parts"
"""Name of the archive."""

_PARTS = BuildCache(
    PARTS,
    "kani.engines.kokoro.network.graph_surgery",
    activity="Kokoro: splitting the network into parts",
    unwritable_effect="each start of Kokoro takes 2 s longer",
)


def load(model: bytes, cache_dir: Path) -> Callable[[str], bytes]:
    """A function that loads a part of the published graph by its name (``graph_surgery``).

    model: the verified file. The parts are kept in ``cache_dir`` under a key of this file and the code that
    splits it, which takes some 2 s; if the folder cannot be written, they are built at each start. Raises
    EngineUnavailable when they cannot be built.
    """
    try:
        archive = _PARTS.load(model, cache_dir)
    except BuildFailed as error:
        raise EngineUnavailable(
            f"Kokoro's network could not be split into parts ({error}): "
            + install_command("", "requirements.txt", "onnx")
        ) from error
    return lambda name: archive.read(f"{name}.onnx")
