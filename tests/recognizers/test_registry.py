"""Which recogniser a name stands for."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from recognizers.registry import NAMES, recognizer_for


@dataclass(frozen=True)
class Settings:
    cache_dir: Path
    models_dir: Path | None = None


def test_every_name_stands_for_something(tmp_path: Path) -> None:
    """Its facts are known before it is started."""
    made = {name: recognizer_for(name, Settings(tmp_path)) for name in NAMES}
    assert made["none"] is None
    for name in ("auto", "whisper"):
        recognizer = made[name]
        assert recognizer is not None
        assert recognizer.info.name == "whisper"
        assert recognizer.info.sample_rate == 16_000
        assert {"es", "en", "fr", "jv", "yi"} <= recognizer.info.languages
        assert len(recognizer.info.languages) == 99


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(ValueError, match="parrot"):
        recognizer_for("parrot", Settings(tmp_path))


def test_no_library_is_loaded_before_the_start() -> None:
    """A server that hears nobody is not slower for it."""
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as S; "
        "from recognizers.registry import recognizer_for; "
        "recognizer_for('auto', S(models_dir=None, cache_dir=Path('nowhere'))); "
        "assert not {'ctranslate2', 'faster_whisper', 'onnxruntime', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
