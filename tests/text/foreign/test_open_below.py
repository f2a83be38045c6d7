"""Files that clients name below a folder: no link is followed, and nothing but a file is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kani_text.foreign.files import open_below


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, and links that somebody made after a look at it."""
    served, outside = tmp_path / "served", tmp_path / "outside"
    for each in (served / "inner", outside):
        each.mkdir(parents=True)
    (served / "inner" / "a.wav").write_bytes(b"mine")
    (outside / "a.wav").write_bytes(b"theirs")
    (served / "link").symlink_to(outside)
    (served / "link.wav").symlink_to(outside / "a.wav")
    (served / "new.wav").symlink_to(outside / "new.wav")
    os.mkfifo(served / "pipe.wav")
    return served


def test_files_are_read_and_written(folder: Path) -> None:
    with open_below(folder, ("inner", "a.wav")) as file:
        assert file.read() == b"mine"
    for name in ("a.wav", "b.wav"):
        with open_below(folder, ("inner", name), write=True) as file:
            file.write(b"new")
        assert (folder / "inner" / name).read_bytes() == b"new"


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    "parts",
    [("link", "a.wav"), ("link.wav",), ("new.wav",), ("pipe.wav",), ("inner",), (".",), ("no", "a.wav")],
)
def test_links_pipes_and_folders_are_not_opened(folder: Path, parts: tuple[str, ...], write: bool) -> None:
    with pytest.raises(OSError, match=r"\w"):
        open_below(folder, parts, write=write)
    outside = folder.parent / "outside"
    assert [file.name for file in outside.iterdir()] == ["a.wav"]
    assert (outside / "a.wav").read_bytes() == b"theirs"
