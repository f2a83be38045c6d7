"""The makers' own encoder, by the python of an environment that has Resemblyzer.

``python -P resemblyzer_judge.py IN.npz OUT.npz``: ``mels`` [n, 160, 40] and ``samples`` at 16 kHz in;
``windows``, the embeddings of ``mels``, ``mel``, the makers' spectrogram of ``samples``, and ``whole``, their
embedding of ``samples`` after their own voice detection, out.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import torch

# It imports a name that scipy has moved.
warnings.simplefilter("ignore", DeprecationWarning)

from resemblyzer import VoiceEncoder, preprocess_wav, wav_to_mel_spectrogram  # noqa: E402


def main(given: str, out: str) -> None:
    """The command line."""
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
