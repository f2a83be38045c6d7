"""Build ``speaker_encoder.npz`` and ``speaker_encoder.json`` from the wheel of PyPI's Resemblyzer 0.1.4.

    pip download Resemblyzer==0.1.4 --no-deps
    python -m tools.published.speaker_encoder Resemblyzer-0.1.4-py3-none-any.whl

The wheel holds the original weights as a torch checkpoint. They become float16 arrays, without the
optimiser's state, with the two biases of each layer added up. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import torch

from kani.runtime.speaker_encoder import encoder
from kani.runtime.speaker_encoder.encoder import DATA_FILE, LAYERS, ORIGIN_FILE

ORIGIN = "https://pypi.org/project/Resemblyzer/0.1.4/ (resemblyzer/pretrained.pt), by Corentin Jemine"
LICENCE = "Apache-2.0"
CHECKPOINT = "resemblyzer/pretrained.pt"


def build(wheel: Path, folder: Path) -> None:
    """Write both files into ``folder``.

    Raises zipfile.BadZipFile when ``wheel`` is no archive, KeyError when it lacks the checkpoint or a tensor.
    """
    with zipfile.ZipFile(wheel) as archive:
        checkpoint = archive.read(CHECKPOINT)
    state = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)["model_state"]
    values = {name: tensor.numpy() for name, tensor in state.items()}
    arrays = {"linear": values["linear.weight"], "offset": values["linear.bias"]}
    for layer in range(LAYERS):
        arrays[f"input_{layer}"] = values[f"lstm.weight_ih_l{layer}"]
        arrays[f"recurrent_{layer}"] = values[f"lstm.weight_hh_l{layer}"]
        arrays[f"bias_{layer}"] = values[f"lstm.bias_ih_l{layer}"] + values[f"lstm.bias_hh_l{layer}"]
    arrays = {name: array.astype("<f2") for name, array in arrays.items()}
    np.savez(folder / DATA_FILE, **arrays)
    origin = {
        "made_by": "python -m tools.published.speaker_encoder",
        "origin": ORIGIN,
        "licence": LICENCE,
        "source_sha256": hashlib.sha256(checkpoint).hexdigest(),
        "sha256": hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest(),
    }
    (folder / ORIGIN_FILE).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.published.speaker_encoder")
    parser.add_argument("wheel", type=Path, help="Resemblyzer-0.1.4-py3-none-any.whl")
    build(parser.parse_args().wheel, Path(encoder.__file__).parent)


if __name__ == "__main__":
    main()
