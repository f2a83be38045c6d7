"""Measures Pocket TTS with random weights of full size, beside the package pocket-tts in turn.

KANI_JUDGE_PYTHON: Python of an environment with pocket-tts; without it the package is not measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import measure, median, table
from kani.core.types import Sampling, Segment
from kani.engines.pocket.engine import PocketEngine
from kani.engines.pocket.settings import PocketSettings
from tests.engines.pocket.random_pocket import FULL, random_reference, resources, write

TEXT = "Guten Morgen, wie geht es dir heute?"
FRAMES = 76
ROUNDS = 2
TOGETHER = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """One program's figures of one round."""

    name: str
    first_s: float
    factor: float  # seconds computed for a second of audio
    speed: float  # seconds of audio a second: of several streams, or one after another


def beside() -> None:
    """Run the rounds and print the table of their medians."""
    judge = os.environ.get("KANI_JUDGE_PYTHON")
    with tempfile.TemporaryDirectory() as scratch:
        reference = random_reference(FULL)
        # Speech ends only at the limit, for the same length everywhere.
        reference.speech.eos_head.bias.data.fill_(-1e9)
        folder = write(Path(scratch), reference)
        del reference
        found: list[Figures] = []
        for _ in range(ROUNDS):
            if judge:
                found.append(_package(judge, folder / "languages" / "german"))
            found += [asyncio.run(_ours(folder, precision)) for precision in ("float32", "int8")]
    names = list(dict.fromkeys(each.name for each in found))
    rows = []
    for name in names:
        own = [each for each in found if each.name == name]
        rows.append(
            (
                name,
                f"{median([each.factor for each in own]):.2f}",
                f"{1000 * median([each.first_s for each in own]):.0f} ms",
                f"{median([each.speed for each in own]):.2f}",
            )
        )
    print(table(("", "computed for a second of audio", "first audio", "seconds of audio a second"), rows))


def _package(python: str, folder: Path) -> Figures:
    script = Path(__file__).with_name("package.py")
    voice = folder / "embeddings" / "juergen.safetensors"
    run = subprocess.run(
        [python, str(script), str(folder), str(voice), TEXT, str(FRAMES)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    runs = [tuple(each) for each in json.loads(run.stdout.splitlines()[-1])][1:]
    spent, made = sum(run[1] for run in runs), sum(run[2] for run in runs)
    first = median([run[0] for run in runs])
    return Figures("pocket-tts, one after another", first, spent / made, made / spent)


async def _ours(folder: Path, precision: str) -> Figures:
    settings = PocketSettings.model_validate(
        {"languages": ("de",), "model": str(folder), "precision": precision}
    )
    engine = PocketEngine(settings, resources(folder))
    await engine.start()
    try:
        await _run(engine)
        alone = [await _run(engine) for _ in range(3)]
        begun = time.perf_counter()
        together = await asyncio.gather(*(_run(engine) for _ in range(TOGETHER)))
        spent = time.perf_counter() - begun
    finally:
        await engine.stop()
    return Figures(
        f"{precision}, {TOGETHER} at once",
        median([run[0] for run in alone]),
        sum(run[1] for run in alone) / sum(run[2] for run in alone),
        sum(run[2] for run in together) / spent,
    )


async def _run(engine: PocketEngine) -> tuple[float, float, float]:
    """First audio in seconds, seconds computed, seconds of audio."""
    seconds = (FRAMES - 1) * 0.08
    segment = Segment(TEXT, "pocket:juergen", "de", max_seconds=seconds, sampling=Sampling(seed=1))
    begun, first, samples = time.perf_counter(), 0.0, 0
    async for chunk in engine.synthesize(segment):
        first = first or time.perf_counter() - begun
        samples += len(chunk.samples)
    return first, time.perf_counter() - begun, samples / engine.info.sample_rate


if __name__ == "__main__":
    measure("pocket", __doc__, "Pocket TTS", {"beside": beside}, "torch", "transformers")
