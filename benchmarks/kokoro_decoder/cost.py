"""Cost of a frame: the generator by itself, by window length, both decoders in turn."""

from __future__ import annotations

import time

from benchmarks import single_engine
from benchmarks.report import median, percentile, table
from benchmarks.sentences import ABOUT_7_S
from kani.engines.kokoro.litert.decoder import load_litert_decoder
from kani.engines.kokoro.litert.packed import NETWORK, PackedNetwork
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.network.parts import Generator, LoadPart, Window
from kani.engines.kokoro.voices import DEFAULT_VOICES
from tools.kokoro_data.calibrate import GeneratorInputs
from tools.kokoro_pack.onnx_generator import OnnxGenerator
from tools.kokoro_pack.published import published_parts

ONNX, LITERT = "onnx", "litert"
"""Names of the published graph and of Kokoro's own decoder."""

LENGTHS = (10, 16, 24, 64)
"""Frames of a window that are heard."""

_FRAMES_EACH, _FEWEST = 480, 5
"""Frames that are decoded for one measurement, and its least number of windows."""


def cut(window: Window, frames: int, context: int) -> Window:
    """Return the first ``frames`` frames of a window that have the context before them."""
    count = frames + 2 * context
    features, spectra = window.features[:, :, : 2 * count], window.spectra[:, :, : 120 * count + 1]
    return Window(features, spectra, window.scale, window.shift, context, context)


def generators(parts: LoadPart, cores: int) -> dict[str, Generator]:
    """Load both; raises DecoderUnavailable where LiteRT does not run."""
    return {
        ONNX: OnnxGenerator(parts("generator"), cores),
        LITERT: load_litert_decoder(PackedNetwork.open(NETWORK), cores).generator,
    }


def generator() -> None:
    """Print the tables."""
    parts = published_parts()
    spoken = GeneratorInputs(parts).of(DEFAULT_VOICES["es"], max(ABOUT_7_S["es"], key=len))
    head = (
        *("frames heard", "times each", f"{ONNX}, ms a frame", f"{LITERT}, ms a frame"),
        *(f"{ONNX} ÷ {LITERT}, median", "p10–p90"),
    )
    for cores in sorted({1, single_engine.THREADS}):
        own, rows = generators(parts, cores), []
        for length in LENGTHS:
            windows = {name: cut(spoken, length, one.context) for name, one in own.items()}
            found = _in_turn(own, windows, length)
            ratios = [onnx / litert for onnx, litert in zip(found[ONNX], found[LITERT], strict=True)]
            rows.append(
                [
                    *(str(length), str(len(ratios))),
                    *(f"{median(found[name]):.2f}" for name in (ONNX, LITERT)),
                    f"{median(ratios):.2f}",
                    f"{percentile(ratios, 10):.2f}–{percentile(ratios, 90):.2f}",
                ]
            )
        print(f"A window by only the generator, {cores} of the cores:\n")
        print(table(head, rows) + "\n", flush=True)


def _in_turn(
    generators: dict[str, Generator], windows: dict[str, Window], length: int
) -> dict[str, list[float]]:
    """Return milliseconds a frame, each time, by the generator."""
    found: dict[str, list[float]] = {name: [] for name in generators}
    for name, one in generators.items():
        one.generate(windows[name], Stop())
    for _ in range(max(_FRAMES_EACH // length, _FEWEST)):
        for name, one in generators.items():
            begun = time.perf_counter()
            one.generate(windows[name], Stop())
            found[name].append((time.perf_counter() - begun) * 1000 / length)
    return found
