"""Build cache of the parts of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import kani.engines.kokoro.network as network_folder
from kani.engines.kokoro.network.parts import LoadPart
from kani.runtime.build_cache import BuildCache

_LENGTH_BYTES = 8

_HERE, _NETWORK = Path(__file__).parent, Path(network_folder.__file__).parent
SOURCES = (
    *(_HERE / f"{name}.py" for name in ("graph_weights", "onnx_weights", "pytorch_weights", "tensor_file")),
    *(_NETWORK / f"{name}.py" for name in ("float_graph", "graph_surgery")),
)
"""Files that the parts depend on, besides ``build.py``."""


def joined(published: bytes, checkpoint: bytes) -> bytes:
    """Return the input of ``build``: the graph that a checkpoint may be filled into, and its file."""
    return b"".join((len(published).to_bytes(_LENGTH_BYTES, "little"), published, checkpoint))


def divided(both: bytes) -> tuple[bytes, bytes]:
    end = _LENGTH_BYTES + int.from_bytes(both[:_LENGTH_BYTES], "little")
    return both[_LENGTH_BYTES:end], both[end:]


def load(published: bytes, checkpoint: bytes, languages: Sequence[str], cache_dir: Path) -> LoadPart:
    """Return what loads a part of a network by its name; they are cut and kept in ``cache_dir``.

    published: the graph that other networks are filled into; checkpoint: its file; languages: of the
    checkpoint. Raises BuildFailed.
    """
    spoken = "-".join(languages)
    archive = BuildCache(
        f"kokoro-checkpoint-{spoken}",
        "kani.engines.kokoro.checkpoints.build",
        activity=f"Kokoro: splitting the network for {spoken} into parts",
        unwritable_effect=f"each start takes some seconds longer for {spoken}",
        sources=SOURCES,
    ).load(joined(published, checkpoint), cache_dir)
    return lambda name: archive.read(f"{name}.onnx")
