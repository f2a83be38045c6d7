"""Names of models: folders with and without a home folder or an "@", and names on a hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from kani.runtime.model_names import local_path, short_name


def test_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/model") == tmp_path / "model"


def test_home_of_an_unknown_user_is_no_folder() -> None:
    path = local_path("~no-such-user/model")
    assert path == Path("~no-such-user/model") and not path.exists()


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("OWNER/NAME", "NAME"),
        ("OWNER/NAME@v1.0", "NAME"),
        ("base", "base"),
        ("/models/speech@home/base", "base"),
        ("/models/base@2/", "base@2"),
        ("~no-such-user/base@2", "base@2"),
    ],
)
def test_short_name_is_the_last_part_without_a_revision(name: str, short: str) -> None:
    assert short_name(name) == short


def test_folder_that_is_there_has_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "OWNER/NAME@v1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert short_name("OWNER/NAME@v1") == "NAME@v1"
