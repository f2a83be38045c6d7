"""Embeddings of Resemblyzer, run by the Python of an environment that has it."""

import sys
import warnings

import numpy as np
import torch

# It imports a name that scipy has moved.
warnings.simplefilter("ignore", DeprecationWarning)

from resemblyzer import VoiceEncoder, preprocess_wav, wav_to_mel_spectrogram  # noqa: E402


def main(given: str, out: str) -> None:
    encoder = VoiceEncoder("cpu", verbose=False)
    with np.load(given) as data, torch.no_grad():
        np.savez(
            out,
            windows=encoder(torch.from_numpy(data["mels"])).numpy(),
            mel=wav_to_mel_spectrogram(data["samples"]),
            whole=encoder.embed_utterance(preprocess_wav(data["samples"])),
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
