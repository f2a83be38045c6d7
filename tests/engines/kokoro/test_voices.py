"""Kokoro's voices, and the script that builds their files."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kokoro_data import voices as build_voices
from kani.core.errors import UnknownVoice
from kani.engines.kokoro.voices import DEFAULT_VOICES, INDEX_FILE, STYLES_FILE, STYLES_SHAPE, Voices


def test_54_voices_speak_eight_languages() -> None:
    known = Voices().all
    assert len(known) == len({voice.id for voice in known}) == 54
    mixed = {"en-US", "en-GB", "es", "fr", "it", "pt-BR"}
    assert {voice.language for voice in known} == mixed | {"zh", "ja", "hi"}
    assert {voice.language for voice in Voices().mixed} == mixed
    assert {voice.gender for voice in known} == {"female", "male"}
    assert {voice.engine for voice in known} == {"kokoro"}


def test_sound_of_each_voice_is_known() -> None:
    voices = Voices().all
    assert all(80 < voice.pitch_hz < 350 and 1 < voice.pitch_range < 7 for voice in voices)
    assert all(0.5 < voice.pace < 1.5 and -40 < voice.brightness_db < 0 for voice in voices)
    women, men = (
        np.median([voice.pitch_hz for voice in voices if voice.gender == sex]) for sex in ("female", "male")
    )
    assert women > 1.4 * men


def test_default_voices_speak_their_language() -> None:
    languages = {voice.id: voice.language.partition("-")[0] for voice in Voices().all}
    assert {languages[voice]: voice for voice in DEFAULT_VOICES.values()} == DEFAULT_VOICES


@pytest.mark.parametrize("symbols", [1, 100, 510])
def test_style_is_256_finite_numbers(symbols: int) -> None:
    style = Voices().style("ef_dora", symbols)
    assert style.shape == (1, 256)
    assert style.dtype == np.float32
    assert np.isfinite(style).all()
    assert np.abs(style).max() > 0.01


def test_unknown_voice_is_refused() -> None:
    with pytest.raises(UnknownVoice, match="nobody"):
        Voices().style("nobody", 10)


def _distribution(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for number, name in enumerate(names):
            content = np.full(STYLES_SHAPE, number, "<f4").tobytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mtime = number
            archive.addfile(member, io.BytesIO(content))
    return path


def test_build_is_sorted_and_reproducible(tmp_path: Path) -> None:
    names = [
        f"kokoro-0.9.4/kokoro.js/voices/{name}.bin" for name in ("jf_alpha", "vf_mai", "pm_alex", "af_heart")
    ]
    built = []
    for order in (names, names[::-1]):
        folder = tmp_path / str(len(built))
        folder.mkdir()
        archive = _distribution(tmp_path / "kokoro.tar.gz", [*order, "kokoro-0.9.4/other/af_sky.bin"])
        assert build_voices.build(archive, folder) == 3
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))["voices"]
        assert [(v["name"], v["language"], v["gender"]) for v in index] == [
            ("af_heart", "en-US", "female"),
            ("pm_alex", "pt-BR", "male"),
            ("jf_alpha", "ja", "female"),
        ]
        built.append((np.load(folder / STYLES_FILE)[:, 0, 0].tolist(), len(index[0]["source_sha256"])))
    assert built == [([3.0, 2.0, 0.0], 64), ([0.0, 1.0, 3.0], 64)]
    archive = _distribution(tmp_path / "again.tar.gz", names)
    first = build_voices.build(archive, tmp_path) and (tmp_path / STYLES_FILE).read_bytes()
    assert build_voices.build(archive, tmp_path) and (tmp_path / STYLES_FILE).read_bytes() == first


def test_build_refuses_archive_without_voices(tmp_path: Path) -> None:
    archive = _distribution(tmp_path / "wheel.tar.gz", ["kokoro/model.py"])
    with pytest.raises(ValueError, match="holds no voices"):
        build_voices.build(archive, tmp_path)
