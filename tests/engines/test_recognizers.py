"""Which recogniser a name stands for."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from engines.recognizers import RECOGNIZER_NAMES, recognizer_for

from engines import weights
from speech.errors import EngineUnavailable


@dataclass(frozen=True)
class Settings:
    cache_dir: Path
    models_dir: Path | None = None
    no_fetch: bool = False


def test_every_name_stands_for_something(tmp_path: Path) -> None:
    """Its facts are known before it is started."""
    made = {name: recognizer_for(name, Settings(tmp_path)) for name in RECOGNIZER_NAMES}
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
        "from engines.recognizers import recognizer_for; "
        "recognizer_for('auto', S(models_dir=None, cache_dir=Path('nowhere'), no_fetch=False)); "
        "assert not {'ctranslate2', 'faster_whisper', 'onnxruntime', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("name", "fetching", "no_fetch", "may"),
    [
        ("auto", False, False, False),
        ("auto", True, False, True),
        ("whisper", False, False, True),
        ("whisper", True, True, False),
    ],
)
async def test_files_are_fetched_where_the_user_asked_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fetching: bool, no_fetch: bool, may: bool
) -> None:
    """Only --fetch and a recogniser that was named fetch Whisper's files where their packages are missing."""
    unreachable = tuple(
        replace(weight, parts=(), url="http://127.0.0.1:1/model") for weight in weights.WHISPER_BASE
    )
    monkeypatch.setattr(weights, "WHISPER_BASE", unreachable)
    recognizer = recognizer_for(name, Settings(tmp_path, no_fetch=no_fetch), fetch_requested=fetching)
    assert recognizer is not None
    reason = "could not be fetched" if may else "nothing is fetched unasked"
    with pytest.raises(EngineUnavailable, match=rf"whisper-base/model\.bin .*{reason}"):
        await recognizer.start()
