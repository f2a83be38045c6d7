"""Answers of the models of random weights in float32 on a CPU: recorded once, compared with on a GPU."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.kani import exactness
from benchmarks.report import JUDGE_VARIABLE
from kani.engines.kani.model.loader import KaniModel, load
from kani.engines.kani.model.sampler import Sampling
from kani.engines.plugin import Resources
from tests.judges.lfm2_judge import Judge
from tools.gpu import models, sequences
from tools.gpu.sequences import GREEDY, Asked

FILE = Path(__file__).with_name("references.npz")
"""Those of the published sizes."""

WORDS, FRAMES, TOP, AUDIBLE_FRAMES = 54, 16, 64, 12
FIRST = (Asked(WORDS), Asked(8), Asked(200), Asked(WORDS, Sampling(seed=1)), Asked(8, Sampling(seed=2)))
SECOND = (Asked(WORDS), *(Asked(WORDS, GREEDY, models.speaker(number)) for number in range(2)))
"""Sequences of a Kani checkpoint, and of KaniTTS-2's."""

References = dict[str, npt.NDArray[np.generic]]


def opened(work: Path, name: str, device: str, precision: str, slots: int) -> KaniModel:
    """Load a model as the engine does; it makes whole frames, as a GPU has it."""
    kani = load(
        str(work / name),
        str(work / "codec.nemo"),
        str(work / "embedder"),
        resources=Resources(work / "cache", device=device, precision=precision, max_concurrent=slots),
        report=lambda line: print(line, flush=True),
    )
    kani.runner.whole_frames = True
    return kani


def record(work: Path, file: Path, *, small: bool) -> dict[str, Any]:
    """Write the references of the models of these sizes; returns who said what. Takes minutes if not small.

    transformers gives the logits and judges the greedy codes; NeMo decodes them if its environment is named.
    """
    recorded: References = {"fingerprint": np.array(models.make_models(work, small=small))}
    kani = opened(work, "kani", "cpu", "float32", 1)
    kani.runner.whole_frames = False
    said = [sequences.alone(kani.runner, asked, FRAMES)[0] for asked in FIRST]
    recorded["codes"] = np.array(said, np.int16)
    judge = Judge(work / "kani", kani.layout)
    agreed = sum(
        judge.agrees(sequences.prompt(kani.layout, asked.words), codes.tolist(), 1.1)
        for asked, codes in zip(FIRST[:3], said[:3], strict=True)
    )
    prompt = sequences.prompt(kani.layout, WORDS)
    tokens = exactness.speech(kani.layout, FRAMES)
    rated = exactness.legal(judge.logits([*prompt, *tokens]), len(prompt), kani.layout)
    best = [each.topk(TOP) for each in rated]
    recorded["best"] = np.array([each.values.numpy() for each in best], np.float32)
    recorded["best_codes"] = np.array([each.indices.numpy() for each in best], np.int16)
    audio, decoder = _decoded(kani, work, said[0][:AUDIBLE_FRAMES])
    recorded["samples"] = audio
    del kani, judge
    second = opened(work, "kani-2", "cpu", "float32", 1)
    recorded["second_codes"] = np.array(
        [sequences.alone(second.runner, asked, FRAMES)[0] for asked in SECOND], np.int16
    )
    with file.open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, **recorded)
    return {"transformers_agrees": agreed, "of": 3, "decoder": decoder, "bytes": file.stat().st_size}


def _decoded(kani: KaniModel, work: Path, codes: npt.NDArray[np.int64]) -> tuple[np.ndarray, str]:
    """Samples of frames, and whose: NeMo's where its environment is named."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        return sequences.heard(kani.runner, codes), "ours, float32"
    given, made = work / "codes.npy", work / "samples.npy"
    np.save(given, codes[None])
    program = Path("tests/judges/nemo_judge.py").resolve()
    subprocess.run(  # noqa: S603 - the user named it
        [python, "-P", program, work / "codec.nemo", given, made], check=True, capture_output=True
    )
    return np.load(made)[0], "NeMo"


def read(file: Path) -> References:
    """Read references."""
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def compare_logits(kani: KaniModel, recorded: References) -> tuple[float, float]:
    """Largest difference of a recorded logit, and share of positions with the same likeliest code."""
    prompt = sequences.prompt(kani.layout, WORDS)
    found = exactness.rated(kani.model, prompt, exactness.speech(kani.layout, FRAMES))
    best, codes = (torch.from_numpy(recorded[name]) for name in ("best", "best_codes"))
    pairs = list(zip(found, best, codes.long(), strict=True))
    worst = max(float((row[codes] - best).abs().max()) for row, best, codes in pairs)
    return worst, sum(int(row.argmax() == codes[0]) for row, _, codes in pairs) / len(pairs)
