"""Which engines a name stands for."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pydantic import SecretStr

from engines.registry import NAMES, cuda_devices, engines_for
from speech.errors import EngineUnavailable


@dataclass(frozen=True)
class Folders:
    """The settings that engines read."""

    cache_dir: Path
    models_dir: Path | None = None
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
    assert [type(engine).__name__ for engine in engines_for(name, Folders(tmp_path)).needed] == kinds


async def test_elevenlabs_without_a_key_says_what_to_set(tmp_path: Path) -> None:
    """The refusal is a sentence with the cure."""
    (engine,) = engines_for("elevenlabs", Folders(tmp_path)).needed
    with pytest.raises(EngineUnavailable, match=r"ELEVEN_API_KEY.*--engine auto"):
        await engine.start()


def test_auto_prefers_the_kani_model_where_there_is_cuda(tmp_path: Path) -> None:
    """It comes first on a machine with a CUDA device, and nowhere else."""
    preferred = [type(engine).__name__ for engine in engines_for("auto", Folders(tmp_path)).preferred]
    assert preferred == (["KaniEngine"] if cuda_devices() else [])


def test_an_unknown_name_is_a_mistake(tmp_path: Path) -> None:
    """A name outside the list never gets here from the settings."""
    with pytest.raises(ValueError, match="festival"):
        engines_for("festival", Folders(tmp_path))
    assert "festival" not in NAMES


def test_an_engine_is_imported_only_when_asked_for() -> None:
    """The espeak engine alone loads neither onnxruntime nor torch."""
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as N\n"
        "from engines.registry import engines_for\n"
        "chosen = N(models_dir=None, cache_dir=Path(), threads=None, kokoro_decoding='windows')\n"
        "engines_for('espeak', chosen)\n"
        "assert not {'onnxruntime', 'torch', 'engines.kokoro.engine'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
