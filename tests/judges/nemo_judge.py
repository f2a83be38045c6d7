"""Decodes codes with NeMo, run by the Python of an environment with nemo_toolkit 3.0.0."""

import sys

import numpy as np
import torch
from nemo.collections.tts.models import AudioCodecModel


def main(archive: str, codes_file: str, samples_file: str) -> None:
    """Decode all frames at once with the makers' code."""
    model = AudioCodecModel.restore_from(archive, map_location="cpu").eval()
    codes = torch.from_numpy(np.load(codes_file))
    lengths = torch.full((codes.shape[0],), codes.shape[1])
    with torch.inference_mode():
        samples, _ = model.decode(tokens=codes.transpose(1, 2), tokens_len=lengths)
    np.save(samples_file, samples.numpy())


if __name__ == "__main__":
    # Any number of triples: the import above takes longest.
    for at in range(1, len(sys.argv), 3):
        main(*sys.argv[at : at + 3])
