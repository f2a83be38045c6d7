"""Measures what each emotion changes in speech: twenty sentences es and en, four voices."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import tempfile
import wave
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import single_engine
from benchmarks.kokoro.measures import PITCH_HOP, pitch
from benchmarks.kokoro.quality import NO_JUDGE, mos_scores
from benchmarks.kokoro_decoder.published_graph import WholeKokoroEngine
from benchmarks.report import JUDGE_VARIABLE, median, ms, report_section, table
from benchmarks.sentences import ABOUT_4_S
from benchmarks.voices.emotions_speech import (
    ESPEAK_VOICES,
    KOKORO_VOICES,
    Change,
    Measures,
    Sentence,
    Voices,
    first_sound_s,
    measured,
    sentences,
    spoken,
)
from kani.core.audio.pcm import pcm16
from kani.core.emotions import EMOTIONS
from kani.core.engine import Engine
from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from kani.server import settings
from tests.judges.judge import hear, wrong_words

Values = npt.NDArray[np.float64]

NEUTRAL_NAME = "neutral"
NAMES = ("rate", "pitch", "pitch range", "loudness", "brightness")

_TIMES = 4
_TIMED = 4
_SPEEDS = (0.25, 0.5, 0.75, 1.5, 2.0, 4.0)


@cache
def kokoro() -> dict[str, list[Samples]]:
    """Each emotion's sentences, by Kokoro in windows."""
    return asyncio.run(_started("kokoro", KOKORO_VOICES))


async def _started(engine: str, voices: Voices) -> dict[str, list[Samples]]:
    async with single_engine.started_engine(engine) as started:
        return await _said(started, voices)


async def _whole() -> dict[str, list[Samples]]:
    chosen = settings.load({})
    engine = WholeKokoroEngine(
        KokoroSettings(), Resources(chosen.cache_dir, chosen.models_dir, threads=single_engine.THREADS)
    )
    await engine.start()
    try:
        return await _said(engine, KOKORO_VOICES)
    finally:
        await engine.stop()


async def _said(engine: Engine, voices: Voices) -> dict[str, list[Samples]]:
    return {
        emotion: [await spoken(engine, sentence, emotion) for sentence in sentences(voices)]
        for emotion in EMOTIONS
    }


def _measured(said: dict[str, list[Samples]]) -> dict[str, list[Change]]:
    found = {emotion: [measured(samples) for samples in own] for emotion, own in said.items()}
    return {emotion: _changes(own, found[NEUTRAL_NAME]) for emotion, own in found.items()}


def _changes(found: Sequence[Measures], neutral: Sequence[Measures]) -> list[Change]:
    return [Change.between(own, plain) for own, plain in zip(found, neutral, strict=True)]


def _values(changes: Sequence[Change]) -> Values:
    return np.array([change.values() for change in changes])


def tell_changes(title: str, changes: dict[str, list[Change]]) -> None:
    """Print each emotion's mean change with its spread, and the pairs that are hardest to distinguish."""
    print(
        f"{title}, against neutral: mean over {len(changes[NEUTRAL_NAME])} sentences ± standard deviation\n"
    )
    rows = []
    for emotion, own in changes.items():
        if emotion == NEUTRAL_NAME:
            continue
        mean, spread = _values(own).mean(axis=0), _values(own).std(axis=0, ddof=1)
        cells = [
            f"{np.exp(mean[at]):.2f} ± {np.exp(mean[at]) * spread[at]:.2f}"
            if at in (0, 2)
            else f"{mean[at]:+.1f} ± {spread[at]:.1f}"
            for at in range(len(NAMES))
        ]
        rows.append([emotion, *cells])
    head = ("emotion", "rate ×", "median pitch, st", "pitch range ×", "loudness, dB", "brightness, dB")
    print(table(head, rows) + "\n")
    pairs = sorted(_separation(changes, *pair) for pair in combinations(changes, 2))
    print(
        "The hardest pairs: difference ÷ its standard deviation over the sentences, of "
        f"the measure in which they differ most, brightness left out (goal: > 2 for all {len(pairs)} pairs)\n"
    )
    rows = [[f"{one} – {other}", measure, f"{apart:.1f}"] for apart, measure, one, other in pairs[:6]]
    print(table(("pair", "measure", "difference ÷ spread"), rows) + "\n", flush=True)


def _separation(changes: dict[str, list[Change]], one: str, other: str) -> tuple[float, str, str, str]:
    """Spreads between two emotions, and the measure with the most. The spread is that of the sentences, not
    of their mean."""
    difference = (_values(changes[one]) - _values(changes[other]))[:, :4]
    apart = np.abs(difference.mean(axis=0)) / difference.std(axis=0, ddof=1)
    most = int(apart.argmax())
    return float(apart[most]), NAMES[most], one, other


def by_kokoro() -> None:
    """Pitch and its range by the decoder, loudness and brightness by filters."""
    tell_changes("Kokoro in windows", _measured(kokoro()))


def by_filters() -> None:
    """The published graph with filters only."""
    tell_changes("Kokoro decoded whole, and filters", _measured(asyncio.run(_whole())))


def by_espeak() -> None:
    """Pitch and range by espeak-ng itself, loudness and brightness by filters."""
    tell_changes("espeak-ng", _measured(asyncio.run(_started("espeak", ESPEAK_VOICES))))


def quality() -> None:
    """Word errors and other losses."""
    said = kokoro()
    scores = iter(mos_scores([samples for own in said.values() for samples in own]) or [])
    rows: list[list[str]] = []
    plain: tuple[float, float] | None = None
    for emotion, own in said.items():
        mos = [score for _, score in zip(own, scores, strict=False)]
        rate = _word_error_rate(own)
        mean = float(np.mean(mos)) if mos else float("nan")
        plain = plain or (rate, mean)
        rows.append(
            [
                emotion,
                f"{rate:.1%}",
                f"{100 * (rate - plain[0]):+.1f}",
                f"{mean:.2f}" if mos else "–",
                f"{mean - plain[1]:+.3f}" if mos else "–",
            ]
        )
    head = ("emotion", "word error rate", "points more than neutral", "DNSMOS", "against neutral")
    print(table(head, [["goal", "", "≤ 1", "", "≥ −0.15"], *rows]) + "\n")
    if not os.environ.get(JUDGE_VARIABLE):
        print(f"DNSMOS: {NO_JUDGE}\n", flush=True)


def _word_error_rate(said: Sequence[Samples]) -> float:
    counts = [
        wrong_words(one.text, hear(samples, SAMPLE_RATE, one.language), one.language)
        for one, samples in zip(sentences(KOKORO_VOICES), said, strict=True)
    ]
    wrong, words = (sum(column) for column in zip(*counts, strict=True))
    return float(wrong / words)


def first() -> None:
    """Compare each way with neutral speech at speed 1, alternating under the same machine load."""
    ways = [(emotion, 1.0) for emotion in EMOTIONS if emotion != NEUTRAL_NAME]
    ways += [(NEUTRAL_NAME, speed) for speed in _SPEEDS] + [("sad", 0.25), ("excited", 4.0)]
    rows = asyncio.run(_first(ways))
    print(f"Seconds to the first sound, {_TIMED} sentences × {_TIMES}, medians (goal: ratio ≤ 1.1)\n")
    print(table(("emotion", "speed", "first sound", "÷ neutral at speed 1"), rows) + "\n", flush=True)


async def _first(ways: Sequence[tuple[str, float]]) -> list[list[str]]:
    said = sentences(KOKORO_VOICES)[:: 20 // _TIMED]
    async with single_engine.started_engine("kokoro") as engine:
        for sentence in said:
            await first_sound_s(engine, sentence, NEUTRAL_NAME, 1.0)
        return [await _beside_neutral(engine, said, *way) for way in ways]


async def _beside_neutral(engine: Engine, said: Sequence[Sentence], emotion: str, speed: float) -> list[str]:
    own, ratios = [], []
    for sentence in [*said] * _TIMES:
        before = await first_sound_s(engine, sentence, NEUTRAL_NAME, 1.0)
        own.append(await first_sound_s(engine, sentence, emotion, speed))
        after = await first_sound_s(engine, sentence, NEUTRAL_NAME, 1.0)
        ratios.append(2 * own[-1] / (before + after))
    return [emotion, f"{speed:g}", ms(median(own)), f"{median(ratios):.2f}"]


def picture(out: Path) -> None:
    """Draw all changes and the pitch contours of one sentence. Needs the judges' environment."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        raise SystemExit(
            f"no picture: {JUDGE_VARIABLE} names no environment with tests/judges/requirements-judges.txt"
        )
    said = kokoro()
    changes = [_values(own) for own in _measured(said).values()]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "emotions.npz"
        arrays: dict[str, Any] = {f"pitch_{emotion}": pitch(own[0]) for emotion, own in said.items()}
        arrays["names"] = list(said)
        arrays["mean"] = [own.mean(axis=0) for own in changes]
        arrays["spread"] = [own.std(axis=0, ddof=1) for own in changes]
        arrays["title"] = sentences(KOKORO_VOICES)[0].text
        arrays["hop_s"] = PITCH_HOP / SAMPLE_RATE
        np.savez(data, **arrays)
        program = Path(__file__).with_name("emotions_picture.py")
        subprocess.run([python, "-P", str(program), str(data), str(out)], check=True)
    print(f"{out} is written.")


def record(folder: Path) -> None:
    """Write the first sentence of each language in each emotion to audio files, each once it is spoken."""
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_record(folder))
    print(f"The recordings are in {folder}.")


async def _record(folder: Path) -> None:
    firsts = [each for each in sentences(KOKORO_VOICES) if each.text == ABOUT_4_S[each.language][0]]
    async with single_engine.started_engine("kokoro") as engine:
        for emotion in EMOTIONS:
            for sentence in firsts:
                samples = await spoken(engine, sentence, emotion)
                with wave.open(str(folder / f"{sentence.language}_{emotion}.wav"), "wb") as file:
                    file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
                    file.writeframes(pcm16(samples))


PARTS: dict[str, Callable[[], None]] = {
    "kokoro": by_kokoro,
    "filtered": by_filters,
    "espeak": by_espeak,
    "quality": quality,
    "first": first,
}


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.voices.emotions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("part", nargs="*", help=f"which of {', '.join(PARTS)}; all, if none is named")
    options.add_argument("--picture", type=Path, metavar="FILE.png", help="only draw, to this file")
    options.add_argument("--record", type=Path, metavar="FOLDER", help="only write WAV files to hear")
    chosen = options.parse_args()
    if unknown := set(chosen.part) - set(PARTS):
        options.error(f"there is no part {', '.join(sorted(unknown))}")
    if chosen.picture:
        picture(chosen.picture)
    elif chosen.record:
        record(chosen.record)
    else:
        with report_section("Emotions", "av", "faster-whisper"):
            for part in chosen.part or PARTS:
                PARTS[part]()


if __name__ == "__main__":
    main()
