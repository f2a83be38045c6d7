"""Kyutai's text-to-speech: the words of a text and their times; and why it cannot start, with the cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from kani.core.errors import EngineUnavailable
from kani.core.types import Span
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.kyutai.speech import checkpoint, environment, published
from kani.engines.kyutai.speech.engine import KyutaiEngine
from kani.engines.kyutai.speech.script import Script, TimedSpeech, words
from kani.engines.plugin import Resources
from tests.engines.checkpoints import Damage, assert_worker_imports_only, changed, cut, edited, removed
from tests.runtime.test_hub import Hub
from tests.runtime.test_hub import hub as hub

TEXT = "Well, it’s (only) one:two — three."


def test_words_are_those_of_the_package() -> None:
    found = words(TEXT)
    assert [word.written for word in found] == ["Well,", "it's", "only", "one", "two", "—", "three."]
    assert [TEXT[word.start : word.end] for word in found][1:4] == ["it’s", "(only)", "one"]
    assert not words(" ( : ) ")


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_growing_text_has_the_same_words(step: int) -> None:
    script, taken = Script(), []
    for end in range(0, len(TEXT), step):
        taken += script.take(TEXT[:end], complete=False)
    taken += script.take(TEXT, complete=True)
    assert taken == script.words == words(TEXT)


def test_spans_follow_the_frames_that_words_begin_with() -> None:
    """Two silent frames at the beginning, but for 50 ms of them, are not played."""
    script, steps = Script(), [1, 2]
    script.take("one two three", complete=True)
    speech = TimedSpeech(24_000, script, lambda: steps)
    silent, loud = np.zeros(1920, np.float32), np.full(1920, 0.5, np.float32)
    for frame in (silent, silent):
        assert not len(speech.feed(frame)[0])
    audio, spans = speech.feed(loud)
    assert len(audio) == 1920 + 1200 and spans == (Span(0, 3, 0.0, pytest.approx(0.05)),)
    steps.append(4)
    speech.feed(loud)
    _, spans = speech.feed(loud)
    assert spans == (Span(4, 7, pytest.approx(0.05), pytest.approx(0.21)),)
    rest, spans = speech.finish()
    assert not len(rest) and spans == (Span(8, 13, pytest.approx(0.21), pytest.approx(0.29)),)


ROOT = Path(__file__).parents[4]
CONFIG: dict[str, Any] = {
    "moshi_name": "dsm_tts.safetensors",
    "mimi_name": "mimi.safetensors",
    "tokenizer_name": "tokenizer.model",
    "conditioners": {"speaker_wavs": {}},
    "tts_config": {"audio_delay": 1.28},
    "model_id": {"sig": "1e68beda", "epoch": 240},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a checkpoint; its weights are one tensor."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    (folder / "tokenizer.model").write_bytes(b"content")
    for name in ("dsm_tts", "mimi"):
        save_file({"a": np.zeros(100, np.float32)}, folder / f"{name}.safetensors")
    return folder


DAMAGES: dict[str, tuple[Damage, str]] = {
    "recogniser": (
        edited("config.json", tts_config=...),
        r"config\.json is not of a text-to-speech .*tts_config is missing",
    ),
    "moshi": (
        edited("config.json", conditioners=...),
        r"config\.json is not of a text-to-speech .*conditioners is missing",
    ),
    "dialogue": (
        edited("config.json", tts_config={"audio_delay": 1.28, "multistream": True}),
        r"config\.json is of a model for two speakers",
    ),
    "no id": (edited("config.json", model_id=...), r"config\.json has no model_id"),
    "not JSON": (changed("config.json", "{"), r"config\.json is not JSON"),
    "elsewhere": (
        edited("config.json", mimi_name="../mimi.safetensors"),
        r"no file '\.\./mimi\.safetensors'",
    ),
    "no codec": (removed("mimi.safetensors"), r"no file 'mimi\.safetensors'"),
    "truncated": (cut("dsm_tts.safetensors"), r"dsm_tts\.safetensors is not a whole safetensors file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_named(folder: Path, damage: str) -> None:
    assert checkpoint.check(folder) == checkpoint.Checkpoint(folder, True, ".1e68beda@240.safetensors")
    spoil, reason = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(EngineUnavailable, match=rf"{reason}.*--fetch --engine kyutai.*KANI_KYUTAI_MODEL"):
        checkpoint.check(folder)


async def test_missing_package_is_named_with_its_installation(folder: Path) -> None:
    engine = KyutaiEngine(KyutaiSettings(speech_model=str(folder)), Resources(folder))
    with pytest.raises(EngineUnavailable) as raised:
        # The server's own environment.
        await engine.start()
    for part in (
        "needs sphn and moshi:",
        "-r requirements-kyutai.txt",
        "KANI_KYUTAI_PYTHON=moshi/bin/python",
    ):
        assert part in str(raised.value).replace("sentencepiece and ", "")
    assert (ROOT / environment.REQUIREMENTS).is_file()


def test_voices_are_fetched_for_embeddings_only_if_they_may_be(
    folder: Path, tmp_path: Path, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    found = checkpoint.check(folder)
    with pytest.raises(EngineUnavailable, match=r"with --no-fetch.*KANI_KYUTAI_VOICES"):
        checkpoint.find_voices(None, found, tmp_path, may_fetch=False)
    hub.repository = published.VOICES
    own, other = (
        "unmute-prod-website/a.wav.1e68beda@240.safetensors",
        "unmute-prod-website/a.wav.other@1.safetensors",
    )
    hub.files = dict.fromkeys((own, other, "vctk/b.wav.1e68beda@240.safetensors"), b"{}")
    with caplog.at_level("INFO"):
        voices = checkpoint.find_voices(None, found, tmp_path, may_fetch=True)
    assert "licence: an-open-licence" in caplog.text
    assert voices is not None
    assert [path.name for path in voices.rglob("*.safetensors")] == ["a.wav.1e68beda@240.safetensors"]
    with pytest.raises(EngineUnavailable, match=r"KANI_KYUTAI_VOICES: there is no folder"):
        checkpoint.find_voices(str(tmp_path / "none"), found, tmp_path, may_fetch=True)
    edited("config.json", conditioners={})(folder)
    assert checkpoint.find_voices(None, checkpoint.check(folder), tmp_path, may_fetch=True) is None


def test_checkpoint_is_fetched_only_if_it_may_be(tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(EngineUnavailable, match=r"tts-1\.6b-en_fr is not here, and is not fetched unasked"):
        checkpoint.find(None, tmp_path, may_fetch=False)
    assert not hub.asked
    hub.repository = published.DEFAULT_MODEL
    hub.files = dict.fromkeys(("config.json", "a.safetensors", "t.model", "README.md"), b"{}")
    with pytest.raises(EngineUnavailable, match=r"config\.json is not JSON"):
        # Its content is the hub's of the test.
        checkpoint.find(None, tmp_path, may_fetch=True)
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert fetched == {"config.json", "a.safetensors", "t.model"}


def test_worker_needs_the_packages_of_its_requirements() -> None:
    assert_worker_imports_only("kani.engines.worker.received_text", "babel", "num2words")
    assert_worker_imports_only("kani.engines.kyutai.speech.package_engine", "babel", "num2words")
