"""Engines beside their makers' own packages, which the judges' environment has: ``KANI_JUDGE_PYTHON``."""

import asyncio
import json
import os
import subprocess
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pytest

from kani.core.audio.pcm import pcm16, wav
from kani.core.types import Recording
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer, app_server

JUDGE_PYTHON = os.environ.get("KANI_JUDGE_PYTHON", "")
JUDGES = Path(__file__).parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A sum's order is its result."""

E = TypeVar("E")


def needs(package: str) -> None:
    """Skip the test where the judges' environment has no such package."""
    if not JUDGE_PYTHON:
        pytest.skip(f"KANI_JUDGE_PYTHON names no python with {package}")
    find = f"import importlib.util as u; u.find_spec({package!r}).name"
    if subprocess.run([JUDGE_PYTHON, "-c", find], capture_output=True).returncode:
        pytest.skip(f"the python that KANI_JUDGE_PYTHON names has no {package}")


def judge(
    script: str, folder: Path, jobs: Mapping[str, Mapping[str, Any]], environment: dict[str, str]
) -> None:
    """Have a script of the judges make its checkpoints in ``folder``, and speak all jobs."""
    (folder / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    done = subprocess.run(
        [JUDGE_PYTHON, "-P", str(JUDGES / script), str(folder), str(folder / "jobs.json")],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr


def noise(file: Path, samples: int, rate: int) -> Recording:
    """Write a recording of noise; returns it as it is read."""
    made = np.random.default_rng(3).normal(0, 0.1, samples).astype(np.float32)
    recording = Recording(np.frombuffer(pcm16(made), "<i2").astype(np.float32) / 32_768, rate)
    file.write_bytes(wav(recording.samples, rate))
    return recording


@dataclass(frozen=True)
class Running(Generic[E]):
    """An application that speaks by one of the models, and its engine."""

    app: AppServer
    engine: E

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something of the engine in the application's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.app.loop).result(WITHIN_S)


@contextmanager
def running(
    folders: pytest.TempPathFactory, settings: Mapping[str, dict[str, str]], environment: dict[str, str]
) -> Iterator[dict[str, Running[Any]]]:
    """Run an application for each model with its settings; environment: of their workers."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        found = {}
        for model, chosen in settings.items():
            started = app_server(folders.mktemp(model), KANI_DEVICE="cpu", **chosen)
            app = stack.enter_context(started)
            (engine,) = app.service._engines
            found[model] = Running(app, engine)
        yield found
