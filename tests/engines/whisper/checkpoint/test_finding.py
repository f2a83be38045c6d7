"""Finding the checkpoint that is named: a folder, or one of a model hub, which is fetched if it may be."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from kani.core.errors import EngineUnavailable
from kani.engines.whisper.checkpoint.finding import find_checkpoint
from kani.engines.whisper.engine import WhisperRecognizer
from kani.runtime.errors import CheckpointError
from kani.server.settings import load
from kani.server.speech_service import build_recognizer
from tests.engines.whisper.checkpoint.conftest import Checkpoint
from tests.runtime.test_hub import NO_HUB, Hub, use_hub
from tests.runtime.test_hub import hub as hub


def find(model: str, folder: Path, *, may_fetch: bool = False) -> Path:
    return find_checkpoint(
        model, models_dir=folder / "models", cache_dir=folder / "cache", may_fetch=may_fetch
    )


def test_folder_comes_first_then_the_models_folder(tmp_path: Path) -> None:
    own, kept = tmp_path / "own", tmp_path / "models" / "faster-whisper-small"
    own.mkdir()
    kept.mkdir(parents=True)
    assert find(str(own), tmp_path) == own
    for name in ("Systran/faster-whisper-small", "Systran/faster-whisper-small@v1", "faster-whisper-small"):
        assert find(name, tmp_path) == kept


@pytest.mark.parametrize("name", ["/nowhere/whisper", "a/b/c"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        CheckpointError, match=r"neither a local path nor a model's name on a hub \(OWNER/NAME\)"
    ):
        find(name, tmp_path, may_fetch=True)


def test_name_without_an_owner_is_refused_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(
        EngineUnavailable, match=r"^KANI_WHISPER_MODEL: 'large' is neither a folder nor a model's"
    ):
        WhisperRecognizer(models_dir=None, cache_dir=tmp_path, model="large")


@pytest.mark.parametrize(
    ("recognizer", "no_fetch", "fetched"),
    [("auto", False, True), ("whisper", False, True), ("auto", True, False), ("whisper", True, False)],
)
async def test_named_model_is_fetched_unless_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recognizer: str, no_fetch: bool, fetched: bool
) -> None:
    use_hub(monkeypatch, NO_HUB)
    chosen = load(
        {"whisper_model": "owner/name", "no_fetch": no_fetch, "cache_dir": tmp_path}, {}, tmp_path / "none"
    )
    made = build_recognizer(recognizer, chosen)
    assert made is not None and not made.info.languages
    reason = "cannot be fetched from the model hub" if fetched else "is not fetched unasked"
    with pytest.raises(EngineUnavailable, match=f"^KANI_WHISPER_MODEL: owner/name .*{reason}"):
        await made.start()


@pytest.mark.heard
async def test_checkpoint_of_a_hub_is_fetched_once(
    tmp_path: Path,
    hub: Hub,
    checkpoint: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.marks_files = False
    hub.files = {path.name: path.read_bytes() for path in checkpoint("english").iterdir()}
    hub.files["README.md"] = b"not needed"
    with caplog.at_level(logging.INFO):
        for address in (None, NO_HUB):
            if address is not None:
                use_hub(monkeypatch, address)
            made = WhisperRecognizer(
                models_dir=None, cache_dir=tmp_path, may_fetch=True, model=hub.repository
            )
            await made.start()
            assert made.info.languages == {"en"} and made.info.version == "name int8"
            await made.stop()
    fetches = [line for line in caplog.messages if line.startswith("fetching owner/name at revision")]
    assert len(fetches) == 1 and "licence: an-open-licence" in fetches[0]
    assert not [path for path in hub.asked if path.endswith("README.md")]
