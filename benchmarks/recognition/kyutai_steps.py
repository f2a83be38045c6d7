"""Time of a step of Kyutai's recogniser at full size, random weights, beside transformers' ``generate``.

A step recognises 80 ms of each of its streams; all have full windows. The model takes 5 GB
of memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.report import median, mib, ms, report_section, table
from kani.core.recognizer import STEP_S
from kani.engines.kyutai.checkpoint import FRAME_SAMPLES, quantise
from kani.engines.kyutai.network import Network
from kani.engines.kyutai.step import Frame, Stream
from tests.engines.kyutai.random_checkpoint import FULL_1B, random_model

POSITION = 400
"""Position of the streams: both windows are full."""

_HEAD = ("language model", "streams", "a step", "real-time factor", "state of a stream")


def step_s(network: Network, streams: int, steps: int) -> float:
    """Return the median seconds of a step of ``streams`` streams."""
    chance = np.random.default_rng(0)
    frames = [
        Frame(Stream(row, POSITION), chance.normal(0, 0.1, FRAME_SAMPLES).astype(np.float32))
        for row in range(streams)
    ]
    taken = []
    for _ in range(steps + 2):
        begun = time.perf_counter()
        network.step(frames)
        taken.append(time.perf_counter() - begun)
    return median(taken[2:])


def generate_s(model: object, frames: int) -> float:
    """Return the seconds a frame that ``generate`` of transformers takes."""
    samples = torch.randn(1, 1, frames * FRAME_SAMPLES) * 0.1
    begun = time.perf_counter()
    model.generate(input_values=samples, padding_mask=torch.ones(1, 1), audio_window_size=1)  # type: ignore[attr-defined]
    return (time.perf_counter() - begun) / frames


def measured(model: object, name: str, batches: Sequence[int], steps: int) -> list[tuple[str, ...]]:
    """Return the table's rows of one precision."""
    network = Network(model, None, slots=max(batches), first_token=0)
    rows = []
    for streams in batches:
        taken_s = step_s(network, streams, steps)
        memory = mib(network.bytes_per_stream)
        rows.append((name, str(streams), ms(taken_s), f"{taken_s / STEP_S:.2f}", memory))
    return rows


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.kyutai_steps", description=__doc__
    )
    parser.add_argument("--steps", type=int, default=20, help="steps that are measured (20)")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 8], help="streams of a step (1 4 8)")
    chosen = parser.parse_args()
    with report_section("A step of Kyutai's recogniser", "torch", "transformers"), torch.inference_mode():
        torch.manual_seed(0)
        model = random_model(FULL_1B)
        beside_s = generate_s(model, 10)
        rows = [("float32, transformers' generate", "1", ms(beside_s), f"{beside_s / STEP_S:.2f}", "")]
        rows += measured(model, "float32", chosen.streams, chosen.steps)
        model.model.bfloat16()
        model.lm_head.bfloat16()
        rows += measured(model, "bfloat16", chosen.streams, chosen.steps)
        quantise(model)
        rows += measured(model, "int8", chosen.streams, chosen.steps)
        print(table(_HEAD, rows))


if __name__ == "__main__":
    main()
