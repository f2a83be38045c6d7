"""Judges of a student that nothing was tuned on: words, predicted opinion, and likeness of the speaker."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from benchmarks.report import JUDGE_VARIABLE
from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.runtime.speaker_encoder.encoder import SAMPLE_RATE as ENCODER_RATE
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from tests.judges.judge import hear, wrong_words

NO_JUDGE = f"not measured ({JUDGE_VARIABLE} names no environment with tests/judges/requirements-judges.txt)"

_MOS_RATE = 16_000


def word_errors(texts: Sequence[str], said: Sequence[Samples], language: str) -> list[tuple[int, int, str]]:
    """Words that whisper-base gets wrong, words in all, and what it hears, of each text."""
    heard = [hear(samples, SAMPLE_RATE, language) for samples in said]
    return [(*wrong_words(text, words, language), words) for text, words in zip(texts, heard, strict=True)]


def embeddings(recordings: Sequence[Samples]) -> Samples:
    """Embed the speaker of each recording [n, width]."""
    encoder = SpeakerEncoder()
    return np.stack(
        [encoder.embed(soxr.resample(samples, SAMPLE_RATE, ENCODER_RATE)) for samples in recordings]
    )


def likeness(reference: Samples, other: Samples) -> float:
    """Mean cosine between the embeddings of two lists of recordings that are of different sentences."""
    cosines = reference @ other.T
    return float(cosines[~np.eye(len(cosines), dtype=bool)].mean())


def mos_scores(recordings: Sequence[Samples]) -> list[float] | None:
    """DNSMOS (overall, P.835) of each recording; None without the judges' environment."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        return None
    with tempfile.TemporaryDirectory() as folder:
        arrays, out = Path(folder) / "recordings.npz", Path(folder) / "out.json"
        names = [f"r{number}" for number in range(len(recordings))]
        resampled = (soxr.resample(samples, SAMPLE_RATE, _MOS_RATE) for samples in recordings)
        np.savez(arrays, **dict(zip(names, resampled, strict=True)))
        # -P: or this folder's names would stand before the libraries'.
        program = Path(__file__).with_name("mos.py")
        subprocess.run([python, "-P", str(program), str(arrays), str(out)], check=True)
        found = json.loads(out.read_text("utf-8"))
    return [float(found[name]) for name in names]
