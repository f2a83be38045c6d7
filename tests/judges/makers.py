"""Runs the makers' own KaniTTS-2 code, where it is installed."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

FOLDER = os.environ.get("KANI_TTS_2", "")
JUDGE = Path(__file__).parent / "makers_judge.py"

needs_makers = pytest.mark.skipif(
    not FOLDER,
    reason="KANI_TTS_2 names no folder with the makers' code (tests/judges/requirements-kani-tts-2.txt)",
)


@dataclass(frozen=True)
class Asked:
    """An utterance: a prompt without its last two tokens, a speaker, and the maximum of frames."""

    prompt: Sequence[int]
    speaker: Sequence[float]
    frames: int
    penalty: float


def said(checkpoint: Path, asked: Sequence[Asked], scratch: Path) -> list[list[list[int]]]:
    """Frames of each utterance, with the end's frame if it ends."""
    (scratch / "asked.json").write_text(json.dumps([asdict(one) for one in asked]), "utf-8")
    _run("say", checkpoint, scratch / "asked.json", scratch / "said.json")
    codes = json.loads((scratch / "said.json").read_text("utf-8"))
    return [[one[at : at + 4] for at in range(0, len(one), 4)] for one in codes]


def heard(embedder: Path, samples: npt.NDArray[np.float32], scratch: Path) -> npt.NDArray[np.float32]:
    """Embedding of samples at 16 kHz."""
    np.save(scratch / "samples.npy", samples)
    _run("embed", embedder, scratch / "samples.npy", scratch / "embedding.npy")
    return np.load(scratch / "embedding.npy")


def _run(*arguments: str | Path) -> None:
    command = [sys.executable, str(JUDGE), *map(str, arguments)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": FOLDER}, capture_output=True)
