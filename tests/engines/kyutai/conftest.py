"""A tiny random checkpoint of Kyutai's recogniser, recordings, and transformers' tokens for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kani.core.types import Samples
from tests.engines.kyutai.random_checkpoint import random_checkpoint

FRAME = 1920
FRAMES = 40
"""Frames of each recording: thrice as many as the tiny model's windows have."""


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on two threads, and far slower beside a busy process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint on disk. Read-only."""
    return random_checkpoint(tmp_path_factory.mktemp("kyutai") / "stt-1b-en_fr")


@pytest.fixture(scope="session")
def recordings() -> list[Samples]:
    """Noise with a loudness that changes with each frame, so that its codes do."""
    chance = np.random.default_rng(1)
    return [
        (chance.standard_normal(FRAME * FRAMES) * chance.uniform(0.05, 0.8, FRAMES).repeat(FRAME)).astype(
            np.float32
        )
        for _ in range(4)
    ]


def generated(model: Any, samples: Samples) -> list[int]:
    """Text tokens that transformers' ``generate`` writes for a recording, one a frame."""
    with torch.inference_mode():
        values = torch.from_numpy(samples)[None, None].to(model.dtype)
        tokens = model.generate(
            input_values=values,
            padding_mask=torch.ones(1, len(samples)),
            audio_window_size=1,
            do_sample=False,
        )
    return [int(token) for token in tokens[0, 1:]]
