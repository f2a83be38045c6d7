"""Names of models: folders, and names on a hub."""

from pathlib import Path

import pytest

from kani.runtime.model_names import local_path, short_name


def test_home_is_found_and_names_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/model") == tmp_path / "model"
    unknown = local_path("~no-such-user/model")
    assert unknown == Path("~no-such-user/model") and not unknown.exists()
    (tmp_path / "OWNER/NAME@v1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name, short in (
        # A folder has no revision.
        ("OWNER/NAME@v1", "NAME@v1"),
        ("OWNER/NAME", "NAME"),
        ("OWNER/NAME@v1.0", "NAME"),
        ("base", "base"),
        ("/models/speech@home/base", "base"),
        ("/models/base@2/", "base@2"),
        ("~no-such-user/base@2", "base@2"),
    ):
        assert short_name(name) == short
