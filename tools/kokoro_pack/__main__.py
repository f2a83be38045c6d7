"""Packs Kokoro's network, or a checkpoint of other weights, for the server.

    python -m tools.kokoro_pack                                    # kani/engines/kokoro/data/network
    python -m tools.kokoro_pack CHECKPOINT FOLDER --languages de   # for KANI_KOKORO_MODELS=de=FOLDER

CHECKPOINT is a folder, or a model on a hub (OWNER/NAME[@REVISION]). It needs the packages of
tools/kokoro_pack/requirements.txt besides the server's, and for a hub those of requirements/kani.txt.
"""

from __future__ import annotations

import argparse
import logging
import sys
from functools import partial
from pathlib import Path

from kani.core.errors import EngineUnavailable
from kani.engines.kokoro.checkpoints.loading import Unreadable
from kani.engines.kokoro.litert.packed import NETWORK
from kani.engines.kokoro.network.onnx_model import ModelFailed
from tools.kokoro_pack.calibration.scales import NotCalibrated
from tools.kokoro_pack.checkpoint import pack_checkpoint
from tools.kokoro_pack.checkpoints.files import Unusable, read_checkpoint
from tools.kokoro_pack.checkpoints.tensor_file import NoTensors
from tools.kokoro_pack.graph_surgery import UnknownGraph
from tools.kokoro_pack.pack import pack_published
from tools.kokoro_pack.published import CACHE, published_graph
from tools.published.weights import NotFound


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; what cannot be packed ends it with the reason."""
    parser = argparse.ArgumentParser(
        "python -m tools.kokoro_pack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", nargs="?", metavar="CHECKPOINT")
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER")
    parser.add_argument("--languages", default="", help="what the checkpoint speaks, such as de,sv")
    parser.add_argument("--cache-dir", type=Path, default=CACHE, help="where fetched files are kept")
    given = parser.parse_args(arguments)
    languages = tuple(part.strip().lower() for part in given.languages.split(",") if part.strip())
    if (given.folder is None or not languages) if given.checkpoint else languages:
        parser.error("a checkpoint needs a folder and its languages")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        published = published_graph(given.cache_dir)
        if not given.checkpoint:
            pack_published(published, NETWORK)
            return
        files = read_checkpoint(given.checkpoint, languages, given.cache_dir)
        report = partial(print, flush=True)
        pack_checkpoint(files, languages, published, given.folder, cache_dir=given.cache_dir, report=report)
    except (
        *(EngineUnavailable, ModelFailed, NoTensors, NotCalibrated, NotFound),
        *(UnknownGraph, Unreadable, Unusable),
    ) as error:
        sys.exit(f"it cannot be packed: {error}")


if __name__ == "__main__":
    main()
