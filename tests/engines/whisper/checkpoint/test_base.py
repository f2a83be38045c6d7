"""Whisper base as the package brings it."""

import shutil
from pathlib import Path

import pytest

from kani.core.errors import EngineUnavailable
from kani.engines.whisper.checkpoint import finding
from kani.engines.whisper.engine import WhisperRecognizer


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.json", b"{}", r"config\.json fails its SHA-256"),
        ("ORIGIN.txt", None, "No such file"),
        ("ORIGIN.txt", b"\xff", r"ORIGIN\.txt is no text"),
        ("ORIGIN.txt", b"", r"ORIGIN\.txt lists other files"),
    ],
)
async def test_damaged_base_is_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, reason: str
) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    for path in finding.BASE.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    monkeypatch.setattr(finding, "BASE", folder)
    earlier = tmp_path / "whisper-base"
    earlier.mkdir()
    with pytest.raises(EngineUnavailable, match=rf"{reason}.*restore kani/engines/whisper/data/") as caught:
        await WhisperRecognizer(models_dir=None, cache_dir=tmp_path).start()
    assert str(tmp_path) not in str(caught.value) and earlier.exists()


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
async def test_start_removes_what_earlier_versions_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """On Windows, where few may make links, the model is copied while it loads."""
    if not links:
        monkeypatch.setattr(Path, "symlink_to", _refused)
    (tmp_path / "whisper-base").mkdir()
    shutil.copy(finding.BASE / "config.json", tmp_path / "whisper-base")
    recognizer = WhisperRecognizer(models_dir=None, cache_dir=tmp_path)
    await recognizer.start()
    await recognizer.stop()
    assert not (tmp_path / "whisper-base").exists()


def _refused(*_: object) -> None:
    raise OSError("A required privilege is not held by the client")
