"""Calibrate the int8 convolutions: makes ``scales.npz`` and ``scales.json``.

    python -m tools.kokoro_data.calibrate

Fourteen voices speak a sentence each, as the server does; ``kokoro_pack.calibration`` computes the
generator in float32 and finds the scales. The same model, voices and sentences give the same scales on the
same kind of processor.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from kani.core.types import Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.network.parts import LoadPart, Window
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.voices import Voices
from kani_text.languages import primary
from tools.kokoro_data.sentences import SENTENCES
from tools.kokoro_pack.calibration.scales import find_scales
from tools.kokoro_pack.onnx_generator import on_onnxruntime
from tools.kokoro_pack.packing.generator import SCALES
from tools.kokoro_pack.packing.graph_layers import read_layers
from tools.kokoro_pack.published import CACHE, KOKORO, published_parts

CALIBRATION_SENTENCES = {
    "ef_dora": 6,
    "em_alex": 10,
    "af_heart": 0,
    "af_nicole": 10,
    "am_michael": 4,
    "am_onyx": 18,
    "bf_emma": 16,
    "bm_george": 7,
    "bm_lewis": 12,
    "ff_siwis": 0,
    "if_sara": 6,
    "im_nicola": 4,
    "pf_dora": 13,
    "pm_alex": 10,
}
"""Index into ``sentences.SENTENCES`` of the sentence that a voice speaks."""


class GeneratorInputs:
    """Computes the generator's inputs for sentences with the graph's own parts."""

    def __init__(self, parts: LoadPart) -> None:
        """parts: of ``published_parts``."""
        self._voices = {voice.id: voice for voice in Voices().all}
        statistics = StatisticsTable.shipped(list(self._voices))
        self._speaker = WindowedSynthesizer(on_onnxruntime(parts, threads=2), Voices(), statistics)

    def of(self, voice: str, text: str) -> Window:
        """Compute the inputs of the sounding frames of ``text``, one sentence."""
        language = self._voices[voice].language
        say = phonemizer_for(EspeakClient.shared(), language)
        assert say is not None
        (utterance,) = split_utterances(text, say, ending=".")
        stop, segment = Stop(), Segment(text, voice, language)
        return self._speaker.prepare(utterance.symbols, segment, stop).sounding(stop)

    def text(self, voice: str, index: int) -> str:
        """One of the sentences of the voice's language."""
        return SENTENCES[primary(self._voices[voice].language)][index]


def calibrate(parts: LoadPart) -> dict[str, npt.NDArray[np.generic]]:
    """Compute the arrays of ``scales.npz``."""
    inputs = GeneratorInputs(parts)

    def sentences() -> Iterator[Window]:
        for voice, index in CALIBRATION_SENTENCES.items():
            yield inputs.of(voice, inputs.text(voice, index))
            print(voice, inputs.text(voice, index), flush=True)

    scales = find_scales(read_layers(parts("generator")), sentences(), report=partial(print, flush=True))
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for name, scale in scales.items():
        arrays |= {f"{name}.step": scale.step, f"{name}.zero": scale.zero}
    return arrays


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.kokoro_data.calibrate")
    parser.add_argument(
        "--cache-dir", type=Path, default=CACHE, help="where the model is kept if it has to be fetched"
    )
    cache = parser.parse_args().cache_dir
    arrays = calibrate(published_parts(cache))
    np.savez_compressed(SCALES, allow_pickle=False, **arrays)
    origin = {
        "made_by": "python -m tools.kokoro_data.calibrate",
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "model_sha256": KOKORO.sha256,
        "sentences_sha256": hashlib.sha256(json.dumps(SENTENCES).encode()).hexdigest(),
        "sayings": CALIBRATION_SENTENCES,
        "sha256": hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest(),
    }
    SCALES.with_suffix(".json").write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
