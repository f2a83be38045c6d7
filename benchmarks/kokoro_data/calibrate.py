"""Calibrate the int8 convolutions: makes ``scales.npz`` and ``scales.json``.

    python -m benchmarks.kokoro_data.calibrate

Fourteen voices speak a sentence each, as the server does; the generator computes them in float32
(``float_reference``), and the input of each convolution is recorded. A convolution's scales are those of a
small grid: those with the least squared error on pieces of all sentences, its weights rounded too:

    range   of each channel: of all its inputs, or the one with the least squared error, or between
    steps   by channel ∝ range^a / weight^(1 − a), the largest weight's of the channel (Xiao et al. 2023,
            SmoothQuant): at a = 1 each channel uses all levels, and the weights' ranges differ most
    size    of all steps: to fit the widest range, or smaller, which clips it

Weights are rounded as for processors without VNNI, the harder case. Takes some minutes on two cores; the same
model, voices and sentences give the same scales on the same kind of processor.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.kokoro_data.float_reference import FloatGenerator, convolve_float
from benchmarks.kokoro_data.sentences import SENTENCES
from kani.core.types import Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.litert.packing.generator import SCALES_ORIGIN_FILE, Scale, as_two_tap_weight
from kani.engines.kokoro.litert.packing.graph_layers import read_layers
from kani.engines.kokoro.litert.packing.layers import Convolution, Layers, Upsampling, residual_blocks
from kani.engines.kokoro.litert.packing.weights import DATA, SCALES_FILE, quantise_weight
from kani.engines.kokoro.network import parts_cache
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import Array, Stop
from kani.engines.kokoro.network.parts import LoadPart, NormAffine, SplitModel
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.timing import voiced_frame_range
from kani.engines.kokoro.voices import Voices
from kani.runtime import weights
from kani.text.languages import primary

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

_PIECES = 4
_ROWS = 48
"""Pieces of each sentence, and output rows of a convolution for each piece."""

_CLIPS = (0.0, 0.5, 1.0)
_EXPONENTS = (0.4, 0.55, 0.7, 0.85, 1.0)
_SIZES = (1.0, 0.8)
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_LEVELS = 255
_TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Minimum and maximum of each channel [C]; zero is always inside."""

    low: Tensor
    high: Tensor

    @property
    def width(self) -> Tensor:
        """Width of the range, never zero."""
        return (self.high - self.low).clamp(min=_TINY)

    def scaled(self, low: Tensor | float, high: Tensor | float) -> Range:
        """Multiply both ends by factors."""
        return Range(self.low * low, self.high * high)


class InputRecorder:
    """A ``Convolve`` that records the inputs of convolutions."""

    def __init__(self, names: Sequence[str]) -> None:
        """names: of the convolutions to record."""
        self.pieces: dict[str, list[Tensor]] = {name: [] for name in names}
        self.ranges: dict[str, Range] = {}

    def __call__(self, layer: Convolution | Upsampling, values: Tensor) -> Tensor:
        """Compute the layer in float32 and record its input."""
        if layer.name in self.pieces:
            self._note(layer, values[0])
        return convolve_float(layer, values)

    def _note(self, layer: Convolution | Upsampling, values: Tensor) -> None:
        reach = 1 if isinstance(layer, Upsampling) else layer.dilation * (layer.weight.shape[2] - 1)
        rows = _ROWS + reach
        if values.shape[1] < rows:
            raise ValueError(f"a sentence of {values.shape[1]} rows is too short to calibrate {layer.name}")
        for piece in range(_PIECES):
            first = (values.shape[1] - rows) * (2 * piece + 1) // (2 * _PIECES)
            self.pieces[layer.name].append(values[:, first : first + rows].clone())
        low, high = values.amin(dim=1).clamp(max=0), values.amax(dim=1).clamp(min=0)
        known = self.ranges.get(layer.name, Range(low, high))
        self.ranges[layer.name] = Range(torch.minimum(low, known.low), torch.maximum(high, known.high))


class GeneratorInputs:
    """Computes the generator's inputs for sentences with the graph's own parts."""

    def __init__(self, parts: LoadPart) -> None:
        """parts: from ``parts_cache.load``."""
        self._voices = {voice.id: voice for voice in Voices().all}
        self._statistics = StatisticsTable.shipped(list(self._voices))
        self._speaker = WindowedSynthesizer(
            SplitModel.on_onnxruntime(parts, threads=2), Voices(), self._statistics
        )

    def of(self, voice: str, text: str) -> list[Tensor]:
        """Features, spectra, scale and shift of the sounding frames of ``text``, one sentence."""
        language = self._voices[voice].language
        say = phonemizer_for(EspeakClient.shared(), language)
        assert say is not None
        (utterance,) = split_utterances(text, say, ending=".")
        prosody, features = self._speaker.predict(utterance.symbols, Segment(text, voice, language), Stop())
        norms = NormAffine.from_statistics(features, self._statistics.predict(voice, prosody, features))
        begin, end = voiced_frame_range(prosody)
        spectra = features.source.spectra(begin, end, Stop())
        given = (features.features[:, :, 2 * begin : 2 * end], spectra, norms.scale, norms.shift)
        return [torch.from_numpy(np.ascontiguousarray(array)) for array in given]

    def text(self, voice: str, index: int) -> str:
        """One of the sentences of the voice's language."""
        return SENTENCES[primary(self._voices[voice].language)][index]


@dataclass(frozen=True, slots=True, eq=False)
class RoundedConvolution:
    """A convolution computed in int8: weight [outputs, inputs, taps]."""

    name: str
    weight: Array
    dilation: int

    def made(self, values: Tensor, weight: Array) -> Tensor:
        """Convolve pieces [n, inputs, rows] with ``weight``, without bias and padding."""
        return functional.conv1d(values, torch.from_numpy(weight), dilation=self.dilation)

    def by(self, scale: Scale) -> Array:
        """The weight after the rounding of ``packing.generator``."""
        levels, unit = quantise_weight(self.weight * scale.step[:, None])
        return np.asarray(levels * unit[:, None, None] / scale.step[:, None], np.float32)


def convolutions(layers: Layers) -> Iterator[RoundedConvolution]:
    """Yield the convolutions that are computed in int8."""
    for stage in layers.stages:
        yield RoundedConvolution(stage.upsampling.name, as_two_tap_weight(stage.upsampling), 1)
    for block in residual_blocks(layers):
        for step in (step for pair in block.pairs for step in pair):
            yield RoundedConvolution(
                step.convolution.name, step.convolution.weight, step.convolution.dilation
            )


def fake_quantised(values: Tensor, scale: Scale) -> Tensor:
    """Quantise and dequantise values [..., C, T]."""
    step, zero = (torch.from_numpy(array.astype(np.float32))[:, None] for array in scale)
    return ((values / step + zero + 0.5).floor().clamp(0, _LEVELS) - zero) * step


def scale_of(range_: Range, step: Tensor) -> Scale:
    """Scale that centres the range in the levels; what does not fit is clipped."""
    zero = (_LEVELS - (range_.low + range_.high) / step) / 2
    return Scale(step.numpy(), zero.round().clamp(0, _LEVELS).to(torch.uint8).numpy())


def least_error(pieces: Tensor, widest: Range) -> Range:
    """Range of each channel of pieces [n, C, T] with the least rounding error."""

    def error(range_: Range) -> Tensor:
        scale = scale_of(range_, range_.width / _LEVELS)
        return (fake_quantised(pieces, scale) - pieces).square().mean(dim=(0, 2))

    best, least = widest, error(widest)
    for high_end in (False, True, False, True):
        kept = best
        for share in _SHARES:
            tried = Range(kept.low, widest.high * share) if high_end else Range(widest.low * share, kept.high)
            found = error(tried)
            better = found < least
            best = Range(torch.where(better, tried.low, best.low), torch.where(better, tried.high, best.high))
            least = torch.minimum(found, least)
    return best


def best_scale(convolution: RoundedConvolution, pieces: Tensor, widest: Range) -> tuple[Scale, float]:
    """Best scale of the grid, and its squared error relative to the power of the output.

    pieces: of the input [n, C, T]; widest: range of all inputs of each channel.
    """
    exact = convolution.made(pieces, convolution.weight)
    power = (exact - exact.mean(dim=(0, 2), keepdim=True)).square().sum()
    tight = least_error(pieces, widest)
    ends = ((tight.low - _TINY) / (widest.low - _TINY), (tight.high + _TINY) / (widest.high + _TINY))
    largest = torch.from_numpy(np.abs(convolution.weight).max(axis=(0, 2))).clamp(min=_TINY)
    best: tuple[Scale, float] | None = None
    for clip, exponent, size in product(_CLIPS, _EXPONENTS, _SIZES):
        range_ = widest.scaled(*(end**clip for end in ends))
        steps = range_.width**exponent * largest ** (exponent - 1)
        steps *= size * (range_.width / steps).max() / _LEVELS
        scale = scale_of(range_, steps)
        made = convolution.made(fake_quantised(pieces, scale), convolution.by(scale))
        error = float((made - exact).square().sum() / power)
        if best is None or error < best[1]:
            best = scale, error
    assert best is not None
    return best


@torch.inference_mode()
def calibrate(parts: LoadPart) -> dict[str, npt.NDArray[np.generic]]:
    """Compute the arrays of ``scales.npz``."""
    layers = read_layers(parts("generator"))
    chosen = list(convolutions(layers))
    inputs = InputRecorder([convolution.name for convolution in chosen])
    reference, generator_inputs = FloatGenerator(layers, inputs), GeneratorInputs(parts)
    for voice, index in CALIBRATION_SENTENCES.items():
        reference.audio(*generator_inputs.of(voice, generator_inputs.text(voice, index)))
        print(voice, generator_inputs.text(voice, index), flush=True)
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for convolution in chosen:
        pieces = torch.stack(inputs.pieces.pop(convolution.name))
        scale, error = best_scale(convolution, pieces, inputs.ranges[convolution.name])
        print(f"{convolution.name}: error {10 * np.log10(error):.1f} dB", flush=True)
        arrays |= {f"{convolution.name}.step": scale.step, f"{convolution.name}.zero": scale.zero}
    return arrays


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kokoro_data.calibrate")
    parser.add_argument(
        "--cache-dir", type=Path, default=Path("kokoro-cache"), help="where the model and its parts are kept"
    )
    cache = parser.parse_args().cache_dir
    model = weights.load(weights.KOKORO, models_dir=None, cache_dir=cache)
    arrays = calibrate(parts_cache.load(model, cache))
    folder = DATA
    np.savez_compressed(folder / SCALES_FILE, allow_pickle=False, **arrays)
    origin = {
        "made_by": "python -m benchmarks.kokoro_data.calibrate",
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
        "model_sha256": weights.KOKORO.sha256,
        "sentences_sha256": hashlib.sha256(json.dumps(SENTENCES).encode()).hexdigest(),
        "sayings": CALIBRATION_SENTENCES,
        "sha256": hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest(),
    }
    (folder / SCALES_ORIGIN_FILE).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
