"""Judges of a student that nothing was tuned on: words, predicted opinion, and likeness of the speaker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soxr

from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.runtime.speaker_encoder.encoder import SAMPLE_RATE as ENCODER_RATE
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from tests.judges.judge import hear, wrong_words


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
