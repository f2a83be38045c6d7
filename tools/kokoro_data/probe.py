"""Build ``probe.npz``: a window of speech, with float32 samples, for checking the decoder on a machine.

    python -m tools.kokoro_data.probe

Features, spectra and norms are those of the middle of a word spoken by a shipped voice, rounded to float16,
with context on both sides, as most windows have it; the samples are computed by ``FloatGenerator``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kani.core.types import Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.litert.packed import CONTEXT_FRAMES
from kani.engines.kokoro.network.decoder_checks import PROBE_FILE
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Stop
from kani.engines.kokoro.network.parts import Window
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.timing import voiced_frame_range
from kani.engines.kokoro.voices import DATA, Voices
from tools.kokoro_pack.calibration.float_generator import FloatGenerator
from tools.kokoro_pack.onnx_generator import on_onnxruntime
from tools.kokoro_pack.packing.graph_layers import read_layers
from tools.kokoro_pack.published import CACHE, published_parts

_TEXT, _VOICE, _LANGUAGE = "Mañana", "ef_dora", "es"
_FRAMES = 8
# The loudest vowel is in the second third of the word.
_SKIPPED = 14


def probe(cache_dir: Path) -> dict[str, npt.NDArray[np.float16]]:
    """Compute the generator's input and its output in float32."""
    parts = published_parts(cache_dir)
    voices = Voices()
    statistics = StatisticsTable.shipped([voice.id for voice in voices.all])
    speaker = WindowedSynthesizer(on_onnxruntime(parts, threads=2), voices, statistics)
    say = phonemizer_for(EspeakClient.shared(), _LANGUAGE)
    assert say is not None
    (utterance,) = split_utterances(_TEXT, say, ending=".")
    prepared = speaker.prepare(utterance.symbols, Segment(_TEXT, _VOICE, _LANGUAGE), Stop())
    features, norms = prepared.features, prepared.norms
    begin, _ = voiced_frame_range(prepared.prosody)
    begin += _SKIPPED - CONTEXT_FRAMES
    end = begin + _FRAMES + 2 * CONTEXT_FRAMES
    given = {
        "features": features.features[:, :, 2 * begin : 2 * end],
        "spectra": features.source.spectra(begin, end, Stop()),
        "scale": norms.scale,
        "shift": norms.shift,
    }
    rounded = {name: array.astype(np.float16) for name, array in given.items()}
    exact = {name: array.astype(np.float32) for name, array in rounded.items()}
    window = Window(exact["features"], exact["spectra"], exact["scale"], exact["shift"])
    audio = FloatGenerator(read_layers(parts("generator"))).audio(window)
    context = CONTEXT_FRAMES * FRAME_SAMPLES
    return {**rounded, "audio": audio[context:-context].astype(np.float16)}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.kokoro_data.probe", description=__doc__)
    parser.add_argument("--cache-dir", type=Path, default=CACHE)
    given = parser.parse_args()
    arrays = probe(given.cache_dir)
    np.savez_compressed(DATA / PROBE_FILE, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
