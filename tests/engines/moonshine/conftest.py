"""A tiny random checkpoint of Moonshine, and transformers' tokens for audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
import torch

from kani.core.types import Samples
from kani.engines.espeak.client import EspeakClient
from kani.engines.moonshine.checkpoint import FRAME_SAMPLES
from tests.engines.moonshine.random_checkpoint import random_checkpoint
from tests.support.espeak_audio import audio


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint on disk. Read-only."""
    return random_checkpoint(tmp_path_factory.mktemp("moonshine") / "moonshine-streaming-tiny")


@pytest.fixture(scope="session")
def speech() -> Samples:
    """Two sentences with a second of silence after each, at 16 kHz."""
    client = EspeakClient.shared()
    parts = []
    for text in ("The old bakery opens early in the morning.", "There is fresh bread on the table."):
        said = audio(client, text, "en-us").astype(np.float32) / 2**15
        parts += [soxr.resample(said, client.sample_rate, 16_000), np.zeros(16_000, np.float32)]
    return np.concatenate(parts).astype(np.float32)


def sound(seconds: float, seed: int = 1) -> Samples:
    """Noise with a colour and a loudness that change every tenth of a second."""
    chance = np.random.default_rng(seed)
    parts = []
    for _ in range(round(10 * seconds)):
        colour = chance.standard_normal(int(chance.integers(2, 40)))
        parts.append(chance.uniform(0.02, 0.5) * np.convolve(chance.standard_normal(1600), colour, "same"))
    return np.concatenate(parts).astype(np.float32)


def encoded(model: Any, samples: Samples) -> torch.Tensor:
    """Rows of transformers' encoder for all of a recording's whole frames."""
    whole = torch.tensor(samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES])[None]
    # Without a mask transformers' encoder has no windows.
    mask = torch.ones(whole.shape, dtype=torch.long)
    with torch.inference_mode():
        rows = model.model.encoder(whole.to(model.dtype), attention_mask=mask)
    return torch.Tensor(rows.last_hidden_state[0])


def generated(model: Any, samples: Samples, prefix: tuple[int, ...], most: int) -> list[int]:
    """Tokens that transformers' ``generate`` writes after ``prefix``, the one that ends the text included."""
    whole = torch.tensor(samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES])[None]
    begun = [model.config.bos_token_id, *prefix]
    with torch.inference_mode():
        tokens = model.generate(
            input_values=whole.to(model.dtype),
            attention_mask=torch.ones(whole.shape, dtype=torch.long),
            decoder_input_ids=torch.tensor([begun]),
            max_new_tokens=most,
            do_sample=False,
        )
    return [int(token) for token in tokens[0, len(begun) :]]
