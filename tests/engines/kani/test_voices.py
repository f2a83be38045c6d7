"""Voices and languages of Kani checkpoints: by their names and cards, and from files."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kani.core.errors import EngineUnavailable
from kani.engines.kani.engine import DEFAULT_MODEL, DEFAULT_MODELS, KaniEngine
from kani.engines.kani.model.checkpoint import _card_languages
from kani.engines.kani.model.loader import read_voices
from kani.engines.kani.plugin import KaniSettings
from kani.engines.kani.voices import LANGUAGES, KaniVoices
from kani.runtime.errors import CheckpointError
from tests.engines.kani.conftest import resources


@pytest.mark.parametrize(
    ("name", "card", "languages"),
    [
        ("kani-tts-400m-ky", (), ["ky"]),
        ("kani-tts-400m-expo2025-osaka-ja", (), ["ja"]),
        ("kani-tts-2-pt", (), ["en", "es", "ky"]),
        ("kani-tts-2-pt", ("pt", "English"), ["pt", "en"]),
        ("other-pt", (), list(LANGUAGES)),
    ],
)
def test_languages_are_of_the_card_or_name(name: str, card: tuple[str, ...], languages: list[str]) -> None:
    assert list(KaniVoices("kani", name, (), (), card).default_voices) == languages


@pytest.mark.parametrize(
    ("language", "tag"),
    [
        ("en", "en_us"), ("en-US", "en_us"), ("en-GB", "en_us"), ("en-nyork", "en_nyork"),
        ("es", "es"), ("es-MX", "es-mx"), ("es-AR", "es"), ("zh-Hans-CN", "zh"), ("fr-FR", "French"),
    ],
)  # fmt: skip
def test_closest_tag_is_chosen(language: str, tag: str) -> None:
    voices = KaniVoices("kani", "many", (), ["en_us", "en_nyork", "es-mx", "es", "zh", "French"])
    for voice in ("kani:many", None):
        assert voices.prompt_text("Hola", voice, language) == f"{tag}: Hola"


def test_tags_and_names_of_speakers_prefix_the_text(caplog: pytest.LogCaptureFixture) -> None:
    voices = KaniVoices("kani", "second-de", (), ["qqq", "es"])
    assert "'qqq'" in caplog.text and list(voices.default_voices) == ["es"]
    assert list(KaniVoices("kani", "second-de", (), ["qqq"]).default_voices) == ["de"]
    assert voices.prompt_text("Hola", None, "fr") == "Hola"
    voices = KaniVoices("kani", "many", ("nova",), ["es"])
    assert voices.prompt_text("Hola", "kani:nova", "es") == "nova: Hola"
    assert voices.prompt_text("Hola", None, "es") == "es: Hola"
    # Voices in files stand beside no speaker.
    voices = KaniVoices("kani", "kani-tts-2-es", (), (), (), ("speaker_6",))
    assert [voice.id for voice in voices.voices] == ["kani:speaker_6"]
    assert voices.prompt_text("Hola", "kani:speaker_6", "es") == "Hola"


def test_voice_files_are_checked(tmp_path: Path) -> None:
    numbers = np.arange(1, 129, dtype=np.float32)
    torch.save(torch.from_numpy(numbers).reshape(1, 128), tmp_path / "Ash.pt")
    np.save(tmp_path / "nova.npy", 2 * numbers)
    (tmp_path / "notes.txt").write_text("no voice")
    read = read_voices(tmp_path, 128)
    assert list(read) == ["ash", "nova"] and read["ash"] == pytest.approx(read["nova"])
    assert np.linalg.norm(read["ash"]) == pytest.approx(1)
    for name, content in (
        ("short.npy", np.ones(127)),
        ("zero.npy", np.zeros(128)),
        ("objects.npy", np.array([{}])),
        ("large.npy", np.ones(10_000)),
    ):
        np.save(tmp_path / name, content, allow_pickle=True)
        with pytest.raises(CheckpointError, match=name):
            read_voices(tmp_path, 128)
        (tmp_path / name).unlink()
    (tmp_path / "code.pt").write_bytes(pickle.dumps(Path))
    with pytest.raises(CheckpointError, match=r"code\.pt cannot be read"):
        read_voices(tmp_path, 128)
    with pytest.raises(CheckpointError, match="there is no folder"):
        read_voices(tmp_path / "none", 128)


def test_card_tells_languages(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    assert _card_languages(card) == ()
    for text, expected in (
        ("---\nlanguage:\n- ky\n- ru\n---\n# Model", ("ky", "ru")),
        ("---\nlanguage: ja\n---\n", ("ja",)),
        ("# no front matter", ()),
        ("---\nlanguage: [\n---\n", ()),
        ("---\n", ()),
        ("---\nlanguage: {a: 5}\n---", ()),
    ):
        card.write_text(text)
        assert _card_languages(card) == expected


async def test_spanish_server_takes_the_spanish_checkpoint(tmp_path: Path) -> None:
    for language, name in (("es", DEFAULT_MODELS["es"]), ("en", DEFAULT_MODEL), (None, DEFAULT_MODEL)):
        engine = KaniEngine(KaniSettings(), replace(resources(tmp_path), language=language))
        with pytest.raises(EngineUnavailable, match=f"{name} is not here"):
            await engine.start()
