"""Take smart-turn's file, its licence and its origin from the wheel of PyPI's pipecat-ai 1.14.0.

    pip download pipecat-ai==1.14.0 --no-deps
    python -m tools.published.turn_model pipecat_ai-1.14.0-py3-none-any.whl

The files are copied as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from pathlib import Path

from kani.runtime.turn_model import model
from kani.runtime.turn_model.model import LICENCE_FILE, MODEL_FILE, ORIGIN_FILE

IN_WHEEL = f"pipecat/audio/turn/smart_turn/data/{MODEL_FILE}"
LICENCE_IN_WHEEL = "pipecat_ai-1.14.0.dist-info/licenses/LICENSE"
ORIGIN = f"https://pypi.org/project/pipecat-ai/1.14.0/ ({IN_WHEEL}), smart-turn v3.2 by Daily"
LICENCE = "BSD-2-Clause"


def build(wheel: Path, folder: Path) -> None:
    """Write the files into ``folder``.

    Raises zipfile.BadZipFile when ``wheel`` is no archive, KeyError when it lacks one of them.
    """
    with zipfile.ZipFile(wheel) as archive:
        network, licence = archive.read(IN_WHEEL), archive.read(LICENCE_IN_WHEEL)
    (folder / MODEL_FILE).write_bytes(network)
    (folder / LICENCE_FILE).write_bytes(licence)
    origin = {
        "made_by": "python -m tools.published.turn_model",
        "origin": ORIGIN,
        "licence": LICENCE,
        "sha256": hashlib.sha256(network).hexdigest(),
    }
    (folder / ORIGIN_FILE).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.published.turn_model")
    parser.add_argument("wheel", type=Path, help="pipecat_ai-1.14.0-py3-none-any.whl")
    build(parser.parse_args().wheel, Path(model.__file__).parent)


if __name__ == "__main__":
    main()
