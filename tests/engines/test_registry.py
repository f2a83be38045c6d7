"""Which engines a name stands for."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pydantic import SecretStr

from engines.kani.engine import KaniEngine
from engines.kokoro.engine import KokoroEngine
from engines.registry import ENGINE_NAMES, engines_for
from speech.errors import EngineUnavailable
from tests.engines.cuda_driver import cuda_driver


@dataclass(frozen=True)
class Folders:
    """The settings that engines read."""

    cache_dir: Path
    models_dir: Path | None = None
    no_fetch: bool = False
    threads: int | None = None
    kokoro_decoding: Literal["windows", "whole"] = "windows"
    kokoro_decoder: Literal["auto", "onnx", "fast"] = "auto"
    model: str | None = None
    codec: str | None = None
    embedder: str | None = None
    device: str = "auto"
    precision: str = "auto"
    slots: int | None = None
    elevenlabs_api_key: SecretStr | None = None
    elevenlabs_voice_id: str | None = None
    elevenlabs_model: str = "eleven_flash_v2_5"
    elevenlabs_optimize_latency: int = 1
    elevenlabs_url: str = "https://api.elevenlabs.io"
    elevenlabs_fallback: Literal["none", "kokoro", "espeak"] = "none"


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("auto", ["KokoroEngine", "EspeakEngine"]),
        ("kokoro", ["KokoroEngine"]),
        ("espeak", ["EspeakEngine"]),
        ("kani", ["KaniEngine"]),
        ("elevenlabs", ["ElevenLabsEngine"]),
    ],
)
def test_a_name_gives_its_engines_in_order(tmp_path: Path, name: str, kinds: list[str]) -> None:
    """``auto`` prefers Kokoro; a name alone gives exactly that engine."""
    assert [type(engine).__name__ for engine in engines_for(name, Folders(tmp_path)).required] == kinds


async def test_elevenlabs_without_a_key_says_what_to_set(tmp_path: Path) -> None:
    """The refusal is a sentence with the cure."""
    (engine,) = engines_for("elevenlabs", Folders(tmp_path)).required
    with pytest.raises(EngineUnavailable, match=r"ELEVEN_API_KEY.*--engine auto"):
        await engine.start()


@pytest.mark.parametrize(("given", "device"), [("auto", "cuda"), ("cuda:1", "cuda:1"), ("cpu", "cpu")])
def test_the_kani_model_joins_where_there_is_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, device: str
) -> None:
    """With ``auto`` alone, on the GPU unless another device was named, and nowhere without one."""
    chosen = Folders(tmp_path, device=given)
    monkeypatch.setattr("engines.registry.cuda_device_count", lambda: 0)
    assert engines_for("auto", chosen).late is None
    monkeypatch.setattr("engines.registry.cuda_device_count", lambda: 1)
    engines = engines_for("auto", chosen)
    assert engines.late is not None
    name, engine = engines.late
    assert (name, type(engine).__name__, engine._settings.device) == ("kani", "KaniEngine", device)
    assert [type(engine).__name__ for engine in engines.required] == ["KokoroEngine", "EspeakEngine"]
    assert engines_for("kokoro", chosen).late is None


@pytest.mark.parametrize(
    ("name", "fetching", "no_fetch", "may"),
    [
        ("auto", False, False, {"kani"}),
        ("auto", True, False, {"kani", "kokoro"}),
        ("kokoro", False, False, {"kokoro"}),
        ("kani", False, False, {"kani"}),
        ("auto", True, True, set()),
        ("kokoro", False, True, set()),
        ("kani", False, True, set()),
    ],
)
def test_files_are_fetched_where_the_user_asked_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fetching: bool, no_fetch: bool, may: set[str]
) -> None:
    """By --fetch, for an engine that is named, and for the Kani model on a GPU; never with no_fetch."""
    monkeypatch.setattr("engines.registry.cuda_device_count", lambda: 1)
    engines = engines_for(name, Folders(tmp_path, no_fetch=no_fetch), fetch_requested=fetching)
    joining = [engines.late[1]] if engines.late is not None else []
    kinds = {KaniEngine: "kani", KokoroEngine: "kokoro"}
    found = {
        kinds[type(engine)]
        for engine in (*joining, *engines.required)
        if type(engine) in kinds and engine._settings.may_fetch
    }
    assert found == may


def test_the_driver_is_asked_for_its_devices(tmp_path: Path) -> None:
    """A driver that counts two devices is believed, without torch."""
    code = "import sys; from engines.registry import cuda_devices; assert 'torch' not in sys.modules; "
    counted = subprocess.run(
        [sys.executable, "-c", f"{code}print(cuda_devices())"],
        env={**os.environ, "LD_LIBRARY_PATH": str(cuda_driver(tmp_path, devices=2))},
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    assert counted.stdout == "2\n"


def test_an_unknown_name_is_a_mistake(tmp_path: Path) -> None:
    """A name outside the list never gets here from the settings."""
    with pytest.raises(ValueError, match="festival"):
        engines_for("festival", Folders(tmp_path))
    assert "festival" not in ENGINE_NAMES


def test_an_engine_is_imported_only_when_asked_for() -> None:
    """The espeak engine alone loads neither onnxruntime nor torch."""
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as N\n"
        "from engines.registry import engines_for\n"
        "chosen = N(models_dir=None, cache_dir=Path(), threads=None, no_fetch=False)\n"
        "engines_for('espeak', chosen)\n"
        "assert not {'onnxruntime', 'torch', 'engines.kokoro.engine'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
