"""Cost of a frame: just the generator, by window length, ONNX int8 and fast in turn."""

from __future__ import annotations

import time
from functools import cache

from benchmarks import single_engine
from benchmarks.kokoro_decoder.windows import LITERT, ONNX, decoder_variant
from benchmarks.report import median, percentile, table
from benchmarks.sentences import ABOUT_7_S
from kani.engines.kokoro.network.decoder import Generator, Window
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.voices import DEFAULT_VOICES

LENGTHS = (10, 16, 24, 64, 256)
"""Frames of a window that are heard."""

_FRAMES_EACH, _FEWEST = 480, 5
"""Number of windows made for one measurement: at least this many, and until enough frames were decoded."""

Costs = dict[str, list[float]]
"""Milliseconds a frame, each time, by the generator."""


def generator() -> None:
    """Print the table."""
    head = (
        *("frames heard", "times each", f"{ONNX}, ms a frame", f"{LITERT}, ms a frame"),
        *(f"{ONNX} ÷ {LITERT}, median", "p10–p90"),
    )
    for cores in sorted({1, single_engine.THREADS}):
        rows = []
        for length, found in costs(cores).items():
            ratios = [onnx / fast for onnx, fast in zip(found[ONNX], found[LITERT], strict=True)]
            rows.append(
                [
                    *(str(length), str(len(ratios))),
                    *(f"{median(found[name]):.2f}" for name in (ONNX, LITERT)),
                    f"{median(ratios):.2f}",
                    f"{percentile(ratios, 10):.2f}–{percentile(ratios, 90):.2f}",
                ]
            )
        threads = "one thread" if cores == 1 else f"{cores} threads on one window"
        print(f"A window by the generator alone, with the context that each wants, {threads}:\n")
        print(table(head, rows) + "\n", flush=True)


@cache
def costs(cores: int) -> dict[int, Costs]:
    """Cost of frames by window length; measured once for the table and the picture."""
    ways = {name: decoder_variant(name, cores) for name in (ONNX, LITERT)}
    model = ways[ONNX].model
    voice = next(voice for voice in model.voices.all if voice.id == DEFAULT_VOICES["es"])
    # The longest: it has to have a context on both sides of the longest window.
    foreseen = max(
        (model.foresee(text, voice) for text in ABOUT_7_S["es"]), key=lambda one: one.features.frames
    )
    windows = {}
    for name, own in ways.items():
        begin = own.parts.decoder.generator.context
        assert foreseen.features.frames >= max(LENGTHS) + 2 * begin
        windows[name] = own.windows(foreseen, [(begin, begin + length) for length in LENGTHS])
    generators = {name: own.parts.decoder.generator for name, own in ways.items()}
    return {
        length: _in_turn(generators, {name: own[at] for name, own in windows.items()}, length)
        for at, length in enumerate(LENGTHS)
    }


def _in_turn(generators: dict[str, Generator], windows: dict[str, Window], length: int) -> Costs:
    found: Costs = {name: [] for name in generators}
    for name, one in generators.items():
        one.generate(windows[name], Stop())
    for _ in range(max(_FRAMES_EACH // length, _FEWEST)):
        for name, one in generators.items():
            begun = time.perf_counter()
            one.generate(windows[name], Stop())
            found[name].append((time.perf_counter() - begun) * 1000 / length)
    return found
