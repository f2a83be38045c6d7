"""Students of one's own: what is read from their folders, and what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from kani.core.engine import LightVoices
from kani.core.errors import EngineUnavailable
from kani.core.types import Segment
from kani.engines.known_voices import KnownVoices
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.plugin import known_voices
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.student import files as student_files
from kani.engines.kokoro.student.choice import light_voices
from kani.engines.kokoro.student.files import (
    DECODER,
    ENGLISH,
    MAX_GRAPH_BYTES,
    ORIGIN_FILE,
    PROSODY,
    SHIPPED,
    find_students,
)
from kani.engines.kokoro.student.loading import load_students
from kani.engines.kokoro.voices import Voices
from kani.engines.plugin import Resources
from tests.support.kokoro import chunks_of, joined

VOICES = Voices().all


def student(folder: Path, voice: str = "ef_dora", language: str = "es", **changed: Any) -> Path:
    """The English student as one of another voice."""
    shutil.copytree(ENGLISH, folder)
    change(folder, voice=voice, language=language, **changed)
    return folder


def change(folder: Path, **changed: Any) -> None:
    file = folder / ORIGIN_FILE
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changed), encoding="utf-8")


def set_graph(folder: Path, name: str, content: bytes) -> None:
    """Replace a graph, with the checksum that belongs to it."""
    (folder / name).write_bytes(content)
    sums = {each: hashlib.sha256((folder / each).read_bytes()).hexdigest() for each in (PROSODY, DECODER)}
    change(folder, sha256=sums)


async def test_student_of_ones_own_speaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    student(tmp_path / "dora")
    caplog.set_level("INFO", "kani.engines.kokoro")
    settings = KokoroSettings(student="only", students=tmp_path)
    assert known_voices(settings) == KnownVoices(frozenset(("af_heart", "ef_dora")), frozenset(("en", "es")))
    engine = KokoroEngine(settings, Resources(Path("no-such-folder")))
    await engine.start()
    assert {voice.id for voice in engine.info.voices} == {"af_heart", "ef_dora"}
    assert engine.info.default_voices == {"en": "af_heart", "es": "ef_dora"}
    assert "Kokoro's student speaks es as ef_dora: only" in caplog.messages
    text = "Hola, la sopa está lista."
    samples, spans = joined(await chunks_of(engine, Segment(text, "ef_dora", "es")))
    # The voice of the other language speaks what only that one was taught.
    other, _ = joined(await chunks_of(engine, Segment(text, "af_heart", "es")))
    await engine.stop()
    assert len(samples) > 24_000 and len(spans) == 5 and (other == samples).all()


def test_students_beside_kokoro_are_its_light_voices(tmp_path: Path) -> None:
    student(tmp_path / "dora")
    student(tmp_path / "alex", "em_alex")
    students = load_students(tmp_path, VOICES, threads=1)
    light = light_voices(students.facts, always=False)
    assert isinstance(light, LightVoices)
    assert light.languages == {"af_heart": "en", "em_alex": "es", "ef_dora": "es"}


def test_shipped_voice_may_be_replaced(tmp_path: Path) -> None:
    folder = student(tmp_path / "heart", "af_heart", "en")
    dora = SHIPPED / "ef_dora"
    assert [each.folder for each in find_students(tmp_path, VOICES)] == [folder, dora]
    assert [each.folder for each in find_students(None, VOICES)] == [ENGLISH, dora]


def _shuffled(folder: Path) -> None:
    """The graphs change places."""
    one, other = ((folder / name).read_bytes() for name in (PROSODY, DECODER))
    set_graph(folder, PROSODY, other)
    set_graph(folder, DECODER, one)


def _speechless(folder: Path) -> None:
    """A graph whose weights are not numbers."""
    model = onnx.load(folder / DECODER)
    (bias,) = (each for each in model.graph.initializer if each.name == "m.head.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) * float("nan"), bias.name))
    set_graph(folder, DECODER, model.SerializeToString())


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no graph": (lambda folder: (folder / PROSODY).unlink(), PROSODY),
    "changed graph": (lambda folder: (folder / DECODER).write_bytes(b"x"), f"{DECODER} fails its SHA-256"),
    "no model": (lambda folder: set_graph(folder, DECODER, b"x"), "not a student's"),
    "other graphs": (_shuffled, "not a student's"),
    "no numbers": (_speechless, "no speech"),
    "long graph": (
        lambda folder: os.truncate(folder / PROSODY, MAX_GRAPH_BYTES + 1),
        f"{PROSODY}: longer than",
    ),
    "no JSON": (lambda folder: (folder / ORIGIN_FILE).write_bytes(b"{"), ORIGIN_FILE),
    "no voice": (lambda folder: (folder / ORIGIN_FILE).write_bytes(b"{}"), "missing required field `voice`"),
    "unknown voice": (lambda folder: change(folder, voice="mine"), "Kokoro has no voice 'mine'"),
    "other language": (lambda folder: change(folder, language="fr"), "ef_dora speaks 'es', not 'fr'"),
    "level": (lambda folder: change(folder, level=2.0), r"<= 1.*level"),
    "pitch": (lambda folder: change(folder, log_f0=440.0), r"<= 6.69.*log_f0"),
    "twice": (lambda folder: student(folder.with_name("again")), "ef_dora has another student"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_refused_by_name(tmp_path: Path, case: str) -> None:
    folder = student(tmp_path / "dora")
    spoil, message = WRONG[case]
    spoil(folder)
    with pytest.raises(EngineUnavailable, match=message) as refused:
        load_students(tmp_path, VOICES, threads=1)
    assert str(tmp_path) in str(refused.value)


def test_folder_without_students_is_refused(tmp_path: Path) -> None:
    settings = KokoroSettings(student="only", students=tmp_path)
    engine = KokoroEngine(settings, Resources(Path("no-such-folder")))
    with pytest.raises(
        EngineUnavailable, match=r"KANI_KOKORO_STUDENTS: .* has no folder with a student.json"
    ):
        asyncio.run(engine.start())


def test_student_that_ships_is_loaded_when_it_first_speaks() -> None:
    students = load_students(None, VOICES, threads=1)
    assert not students._models
    students.prepare("ola, ola.", Segment("", "af_heart", "en"), Stop())
    assert list(students._models) == ["af_heart"]


@pytest.mark.parametrize(("file", "named"), [(ORIGIN_FILE, "af_heart"), (PROSODY, "ef_dora")])
def test_broken_shipped_student_is_to_be_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, named: str
) -> None:
    """Also where the whole folder lacks its files."""
    shipped = tmp_path / "data"
    shutil.copytree(SHIPPED, shipped)
    monkeypatch.setattr(student_files, "SHIPPED", shipped)
    monkeypatch.setattr(student_files, "ENGLISH", shipped / ENGLISH.name)
    if file == ORIGIN_FILE:
        shutil.rmtree(shipped)
    else:
        (shipped / named / file).unlink()
    with pytest.raises(EngineUnavailable, match=f"restore kani/engines/kokoro/student/data/{named}"):
        load_students(None, VOICES, threads=1)
