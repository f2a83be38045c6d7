"""The data files that ship: they match their origins, and damaged ones are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks.kokoro_data.calibrate import CALIBRATION_SENTENCES
from kani.core.errors import EngineUnavailable
from kani.engines.kokoro.cloning import surrogate
from kani.engines.kokoro.cloning.surrogate import Surrogate
from kani.engines.kokoro.litert.packing.store import CONTEXT_FRAMES
from kani.engines.kokoro.network import norm_statistics
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from kani.engines.kokoro.network.probe import PROBE_FILE
from kani.engines.kokoro.voices import INDEX_FILE, STYLES_FILE, STYLES_SHAPE, Voices
from kani.runtime.speaker_encoder import encoder as speaker_encoder
from tests.support.kokoro import CHANNELS, DATA, data_file

IDS = [voice.id for voice in Voices().all]
INDEX = json.loads((DATA / INDEX_FILE).read_text(encoding="utf-8"))

Loader = Callable[[Sequence[str]], object]
MODULES: list[tuple[ModuleType, Loader]] = [
    (norm_statistics, StatisticsTable.shipped),
    (surrogate, Surrogate),
]


def test_styles_match_their_index() -> None:
    styles = np.load(DATA / STYLES_FILE)
    assert styles.shape == (54, *STYLES_SHAPE) and styles.dtype == np.float16
    assert hashlib.sha256(styles.tobytes()).hexdigest() == INDEX["sha256"]
    # The rows that embeddings refer to: with another value every kept voice would be refused.
    assert hashlib.sha256(styles[:37].tobytes()).hexdigest() == INDEX["mixed_sha256"]
    assert INDEX["mixed_sha256"].startswith("b29268da")
    assert INDEX["licence"] == "Apache-2.0" and "kokoro/0.9.4" in INDEX["origin"]


@pytest.mark.parametrize(
    ("name", "max_bytes"), [("statistics", 5_000_000), ("surrogate", 500_000), ("scales", 300_000)]
)
def test_arrays_match_their_origin(name: str, max_bytes: int) -> None:
    arrays, origin = data_file(name)
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert (DATA / f"{name}.npz").stat().st_size < max_bytes
    if name == "scales":
        assert origin["sayings"] == CALIBRATION_SENTENCES
    else:
        assert origin["voices_sha256"] == INDEX["mixed_sha256" if name == "surrogate" else "sha256"]
    if name == "statistics":
        assert arrays["mean"].shape == arrays["log_variance"].shape == (len(IDS), CHANNELS)
        assert arrays["weights"].shape[1] == 2 * CHANNELS
    if name == "surrogate":
        encoder = Path(speaker_encoder.__file__).with_name(speaker_encoder.ORIGIN_FILE)
        assert origin["encoder_sha256"] == json.loads(encoder.read_text(encoding="utf-8"))["sha256"]


def test_probe_is_small() -> None:
    path = DATA / PROBE_FILE
    assert path.stat().st_size < 200_000
    with np.load(path) as data:
        frames = len(data["audio"]) // FRAME_SAMPLES
        assert data["features"].shape[2] == 2 * (frames + 2 * CONTEXT_FRAMES)


@pytest.mark.parametrize(("module", "load"), MODULES)
def test_data_of_other_voices_is_refused(module: ModuleType, load: Loader) -> None:
    with pytest.raises(EngineUnavailable, match=f"{module.DATA_FILE} and voices.json do not match"):
        load(IDS[:-1])


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 broken", b"no archive"])
@pytest.mark.parametrize(("module", "load"), MODULES)
def test_broken_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, load: Loader, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / module.DATA_FILE).write_bytes(content)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "package" / "module.py"))
    with pytest.raises(EngineUnavailable, match=f"missing or broken.*{module.DATA_FILE}"):
        load(IDS)
