"""Speaker embeddings of the makers' own Resemblyzer, run by the Python of an environment that has it."""

from __future__ import annotations

import sys
import warnings

import numpy as np

# It imports a name that scipy has moved.
warnings.simplefilter("ignore", DeprecationWarning)

from resemblyzer import VoiceEncoder, preprocess_wav  # noqa: E402

_QUIET = 10 ** (-31 / 20)


def embedded(encoder: VoiceEncoder, samples: np.ndarray) -> np.ndarray:
    """Embed a recording, quiet enough for the makers' code to level it."""
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    return encoder.embed_utterance(preprocess_wav(samples * np.float32(_QUIET / level)))


def main(recordings: str, out: str) -> None:
    """The command line."""
    encoder = VoiceEncoder("cpu", verbose=False)
    with np.load(recordings) as arrays:
        found = {name: embedded(encoder, arrays[name]) for name in arrays.files}
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
