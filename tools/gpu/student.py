"""The training of a student voice: seconds of a step, and how long a voice takes."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path

import numpy as np
import onnx
from torch import Tensor

from kani.engines.kokoro.student.files import DECODER, ENGLISH, PROSODY
from tools.gpu.results import Case
from tools.student.batches import Cuts, Utterances
from tools.student.graph_weights import read_weights
from tools.student.targets import Target, read_shard, save_shard
from tools.student.training import GPU_BATCH, Training, TrainingPlan

STEPS = 20_000
"""Those of a voice, as the trainer has them."""

_SYMBOLS, _SYMBOL_FRAMES, _ROWS = 60, 4, 178


class _Timed(Training):
    """A training that counts its steps' seconds."""

    seconds: dict[bool, list[float]]  # of each step, without and with discriminators

    def _train(self, spoken: Cuts, planned: Utterances) -> dict[str, Tensor]:
        begun = time.perf_counter()
        losses = super()._train(spoken, planned)
        float(losses["sound"])  # wait for the GPU
        self.seconds["discriminators" in losses].append(time.perf_counter() - begun)
        return losses


def train(case: Case) -> None:
    """Part student: steps on invented speech."""
    plan = TrainingPlan(3, 2) if case.small else TrainingPlan(300, GPU_BATCH)
    folder = case.work / "student"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shard = _invented(folder / "00000.npz", 6 if case.small else 50)
    weights = read_weights(*(onnx.load(ENGLISH / name) for name in (PROSODY, DECODER)))
    training = _Timed(weights, plan, folder, case.device)
    training.seconds = {False: [], True: []}
    training.run([shard], [shard], lambda: None)
    step_s = {}
    for judged, seconds in sorted(training.seconds.items()):
        # The first of each kind is recorded.
        step_s[judged] = statistics.median(seconds[1:] or seconds)
        case.write("step", discriminators=judged, seconds=step_s[judged], batch=plan.batch)
    # Discriminators take part in the last third.
    hours = STEPS * (2 * step_s[False] + step_s[True]) / 3 / 3600
    case.write("a voice of 20,000 steps, from there", hours=hours)


def _invented(file: Path, sentences: int) -> Path:
    """A shard of noise, as long as sentences are."""
    chance = np.random.default_rng(0)
    targets = []
    for _ in range(sentences):
        frames = chance.integers(1, 2 * _SYMBOL_FRAMES, _SYMBOLS)
        halves = 2 * int(frames.sum())
        targets.append(
            Target(
                chance.integers(0, _ROWS, _SYMBOLS),
                frames,
                chance.uniform(80, 300, halves).astype(np.float32),
                chance.uniform(0, 1, halves).astype(np.float32),
                chance.uniform(-0.3, 0.3, 300 * halves).astype(np.float32),
            )
        )
    save_shard(file, targets)
    assert len(list(read_shard(file))) == sentences
    return file
