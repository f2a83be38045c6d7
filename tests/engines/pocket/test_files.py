"""Files of Pocket TTS on a model hub: fetched once, and without an account those that do not clone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kani.engines.pocket.model import _fetched
from kani.engines.pocket.published import CLONING_REPOSITORY, OPEN_REPOSITORY, PUBLISHED, languages_here
from kani.runtime.errors import CheckpointError
from kani.runtime.hub import Hub as HubFiles
from tests.runtime.test_hub import Hub, use_hub
from tests.runtime.test_hub import hub as hub

OWN = replace(PUBLISHED["de"], cloning_revision="a" * 40, open_revision="b" * 40, tokenizer_revision="a" * 40)


@pytest.fixture
def published(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(PUBLISHED, "de", OWN)
    monkeypatch.setattr("kani.engines.pocket.published._VOICES_REVISION", "b" * 40)
    names = [published.weights for published in (OWN, PUBLISHED["nl"])]
    hub.files = dict.fromkeys((*names, OWN.tokenizer, OWN.voice("juergen")), b"content")
    hub.repository = OPEN_REPOSITORY
    yield


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("account", [False, True])
def test_weights_that_clone_are_preferred(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, account: bool
) -> None:
    """They are asked for only with an account; refused ones are replaced by those that do not clone."""
    monkeypatch.setattr("kani.engines.pocket.model.get_token", lambda: "hf_token")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", not account)
    lines: list[str] = []
    files = HubFiles(tmp_path, True, lines.append)
    found = _fetched(files, OWN)
    assert not found.clones and all(
        path.is_file() for path in (found.weights, found.tokenizer, found.voices["juergen"])
    )
    asked = [path for path in hub.asked if path.startswith(f"/api/models/{CLONING_REPOSITORY}/")]
    assert bool(asked) == any("cloning is disabled" in line for line in lines) == account
    assert any("an-open-licence" in line for line in lines)
    fetched = [path for path in hub.asked if "/resolve/" in path]
    assert not [path for path in fetched if "dutch" in path]
    assert languages_here(tmp_path, ["de", "nl"], fetched=True) == ("de",)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    assert _fetched(HubFiles(tmp_path, False, print), OWN) == found
    hub.repository = CLONING_REPOSITORY
    use_hub(monkeypatch, f"http://127.0.0.1:{hub.server_port}")
    again = _fetched(HubFiles(tmp_path, True, lines.append), OWN)
    assert again.clones == account


@pytest.mark.usefixtures("published")
def test_missing_network_or_revision_is_named(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.engines.pocket.model.get_token", lambda: None)
    gone = replace(OWN, open_revision="c" * 40)
    with pytest.raises(CheckpointError, match=rf"no revision {OPEN_REPOSITORY}@{'c' * 40}"):
        _fetched(HubFiles(tmp_path, True, print), gone)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"cannot be fetched from the model hub .*network"):
        _fetched(HubFiles(tmp_path / "new", True, print), OWN)
