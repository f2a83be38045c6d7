"""What a frame costs: the generator alone, by the window's length, ONNX int8 and fast in turn."""

from __future__ import annotations

import time
from functools import cache

from benchmarks import alone
from benchmarks.kokoro_decoder_windows import FAST, ONNX, Window, generators, windows_of
from benchmarks.kokoro_sayings import Foreseen, Model
from benchmarks.report import median, percentile, table
from benchmarks.sentences import ABOUT_7_S
from engines.kokoro.generator import Generator
from engines.kokoro.voices import DEFAULT_VOICES

LENGTHS = (10, 16, 24, 64, 256)
"""Frames of a window that are heard."""

_JUDGED = 24
_FRAMES_EACH, _FEWEST = 480, 5
"""How often a window is made: until so many frames were heard, but not less often than that."""

Costs = dict[str, list[float]]
"""Milliseconds a frame, each time, by the generator."""


def generator() -> None:
    """The table."""
    head = (
        *("frames heard", "times each", f"{ONNX}, ms a frame", f"{FAST}, ms a frame"),
        *(f"{ONNX} ÷ {FAST}, median", "p10–p90", "goal"),
    )
    for cores in sorted({1, alone.THREADS}):
        rows = []
        for length, found in costs(cores).items():
            ratios = [onnx / fast for onnx, fast in zip(found[ONNX], found[FAST], strict=True)]
            rows.append(
                [
                    *(str(length), str(len(ratios))),
                    *(f"{median(found[name]):.2f}" for name in (ONNX, FAST)),
                    f"{median(ratios):.2f}",
                    f"{percentile(ratios, 10):.2f}–{percentile(ratios, 90):.2f}",
                    "≥ 2.6" if (cores, length) == (1, _JUDGED) else "",
                ]
            )
        threads = "one thread" if cores == 1 else f"{cores} threads on one window"
        print(f"A window by the generator alone, with the context that each wants, {threads}:\n")
        print(table(head, rows) + "\n", flush=True)


@cache
def costs(cores: int) -> dict[int, Costs]:
    """What frames cost by the window's length; measured once for the table and the picture."""
    speakers = generators(cores)
    found = {}
    windows = {name: _windows(generator) for name, generator in speakers.items()}
    for at, length in enumerate(LENGTHS):
        found[length] = _in_turn(speakers, {name: own[at] for name, own in windows.items()}, length)
    return found


def _windows(generator: Generator) -> list[Window]:
    """A window of each length, as the server would give it to this one: with context on both sides."""
    model, foreseen = _sentence()
    begin = generator.context
    assert foreseen.features.frames >= max(LENGTHS) + 2 * begin
    plan = [(begin, begin + length) for length in LENGTHS]
    return windows_of(generator, model, foreseen, plan, model.expected(foreseen))


@cache
def _sentence() -> tuple[Model, Foreseen]:
    """The longest of those of about 7 s."""
    model = Model.published()
    voice = next(voice for voice in model.voices.all if voice.id == DEFAULT_VOICES["es"])
    return model, max(
        (model.foresee(text, voice) for text in ABOUT_7_S["es"]), key=lambda one: one.features.frames
    )


def _in_turn(speakers: dict[str, Generator], windows: dict[str, Window], length: int) -> Costs:
    found: Costs = {name: [] for name in speakers}
    for name, speaker in speakers.items():
        windows[name].by(speaker)
    for _ in range(max(_FRAMES_EACH // length, _FEWEST)):
        for name, speaker in speakers.items():
            begun = time.perf_counter()
            windows[name].by(speaker)
            found[name].append((time.perf_counter() - begun) * 1000 / length)
    return found
