"""A checkpoint of each kind with random weights, made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.engines.whisper.checkpoint.random_checkpoint import Kind, random_checkpoint

Checkpoint = Callable[[Kind], Path]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Return the folder of a checkpoint; no test may change it."""

    @cache
    def made(kind: Kind) -> Path:
        return random_checkpoint(tmp_path_factory.mktemp("whisper") / f"whisper-{kind}", kind)

    return made
