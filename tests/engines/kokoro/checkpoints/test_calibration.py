"""A checkpoint speaks with the fast decoder once its levels are calibrated, which is done once."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.kokoro.measures import log_spectral_distance
from kani.core.types import Segment
from kani.engines.kokoro.checkpoints.loading import Checkpoint
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.decoder import Generator
from kani.engines.kokoro.network.onnx_model import Array, Stop
from kani.engines.kokoro.network.parts import NormAffine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from kani.runtime.build_cache import BuildFailed, ChildProcess
from tests.engines.kokoro.checkpoints.conftest import MakeFolder
from tests.engines.kokoro.checkpoints.test_pytorch import as_float as as_float
from tests.engines.kokoro.checkpoints.test_pytorch import state as state
from tests.judges.judge import hear, words_of
from tests.support.kokoro import chunks_of, joined, one_utterance

TEXT = "A brown fox sleeps under the tree and dreams of winter."
SPOKEN = Segment(TEXT, "af_sky", "en")
CALIBRATED = "Kokoro's fast decoder speaks en"


@pytest.fixture
def folder(make_folder: MakeFolder, state: dict[str, dict[str, torch.Tensor]]) -> Path:
    """A PyTorch checkpoint of the embedded weights, with one voice."""
    made = make_folder("en", af_sky="af_sky")
    (made / "model.onnx").unlink()
    torch.save(state, made / "kokoro.pth")
    return made


def engine_with(folder: Path, cache: Path) -> KokoroEngine:
    return KokoroEngine(KokoroSettings(student="never", models=(("en", str(folder)),)), Resources(cache))


def checkpoint_of(engine: KokoroEngine) -> Checkpoint:
    checkpoint = engine._checkpoints.speaking(SPOKEN)
    assert checkpoint is not None
    return checkpoint


def decoded(checkpoint: Checkpoint, generators: list[Generator]) -> list[Array]:
    """The text by several generators, from the same features."""
    synthesizer = checkpoint.synthesizer
    prosody, features = synthesizer.predict(one_utterance(TEXT, "en").symbols, SPOKEN, Stop())
    norms = NormAffine.from_statistics(features, synthesizer.predict_statistics("af_sky", prosody, features))
    return [
        synthesizer.model.decode_window(replace(features, generator=one), norms, 0, features.frames, Stop())
        for one in generators
    ]


@pytest.mark.heard
async def test_levels_of_a_checkpoint_are_as_good_as_those_that_ship(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        engine = engine_with(folder, tmp_path / "cache")
        await engine.start()
        checkpoint = checkpoint_of(engine)
        in_float = checkpoint.synthesizer.model.decoder
        assert in_float.name == "onnx" and CALIBRATED not in caplog.text
        await engine.wait_until_loaded()
        fast = checkpoint.synthesizer.model.decoder
        assert fast.name == "litert" and caplog.text.count(CALIBRATED) == 1
        assert engine._model is not None
        exact, own, shipped = decoded(
            checkpoint, [each.generator for each in (in_float, fast, engine._model.decoder)]
        )
        assert log_spectral_distance(own, exact) < log_spectral_distance(shipped, exact) + 0.1
        said, spans = joined(await chunks_of(engine, SPOKEN))
        assert words_of(hear(said, 24_000, "en"), "en") == words_of(TEXT, "en")
        assert len(spans) == len(TEXT.split())
        await engine.stop()

        # A later start finds the levels, and has the same samples from its first word on.
        caplog.clear()
        again = engine_with(folder, tmp_path / "cache")
        await again.start()
        assert checkpoint_of(again).synthesizer.model.decoder.name == "litert"
        assert "calibrating" not in caplog.text
        assert (joined(await chunks_of(again, SPOKEN))[0] == said).all()
        await again.stop()


@pytest.mark.heard
async def test_checkpoint_without_levels_stays_in_float(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Weights that cannot be calibrated would have to be found: the failure is made."""

    def fail(*_: object) -> None:
        raise BuildFailed("the network gives no speech")

    monkeypatch.setattr("kani.engines.kokoro.checkpoints.calibration.load_calibrated", fail)
    engine = engine_with(folder, cache)
    await engine.start()
    await engine.wait_until_loaded()
    assert checkpoint_of(engine).synthesizer.model.decoder.name == "onnx"
    assert "Kokoro's fast decoder cannot speak en: the network gives no speech" in caplog.text
    samples, _ = joined(await chunks_of(engine, SPOKEN))
    assert np.abs(samples).max() > 0.05
    await engine.stop()


def test_program_that_calibrates_is_ended() -> None:
    """At once, and one that is started later, too."""
    child = ChildProcess()
    forever = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(child.run, forever, b"given")
        child.end()
        assert running.result()[0] != 0
    assert child.run(forever, b"")[0] != 0
