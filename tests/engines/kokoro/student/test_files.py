"""Students: their files, their two graphs and their waveform."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from kani.core.engine import LightVoices
from kani.core.errors import EngineUnavailable
from kani.core.types import Segment
from kani.engines.known_voices import KnownVoices
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Stop, Stopped
from kani.engines.kokoro.plugin import known_voices
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.student import files as student_files
from kani.engines.kokoro.student.files import (
    DECODER,
    ENGLISH,
    LICENCE_FILE,
    MAX_GRAPH_BYTES,
    NOTICE_FILE,
    ORIGIN_FILE,
    PROSODY,
    SHIPPED,
    StudentFiles,
    find_students,
)
from kani.engines.kokoro.student.synthesizer import StudentModel, light_voices, load_students
from kani.engines.kokoro.student.waveform import BANDS, HOP, SAMPLE_RATE, WINDOW, pulses, synthesize
from kani.engines.kokoro.voices import Voices
from kani.engines.plugin import Resources
from tests.support.kokoro import agreement_db, chunks_of, joined

VOICES = Voices().all


def student(folder: Path, voice: str = "ef_dora", language: str = "es", **changed: Any) -> Path:
    """The English student as one of another voice."""
    shutil.copytree(ENGLISH, folder)
    change(folder, voice=voice, language=language, **changed)
    return folder


def change(folder: Path, **changed: Any) -> None:
    file = folder / ORIGIN_FILE
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changed), encoding="utf-8")


def set_graphs(folder: Path, **graphs: bytes) -> None:
    for name, content in graphs.items():
        (folder / f"student.{name}.onnx").write_bytes(content)
    sums = {each: hashlib.sha256((folder / each).read_bytes()).hexdigest() for each in (PROSODY, DECODER)}
    change(folder, sha256=sums)


def shuffled(folder: Path) -> None:
    one, other = ((folder / name).read_bytes() for name in (PROSODY, DECODER))
    set_graphs(folder, prosody=other, decoder=one)


def speechless(folder: Path) -> None:
    """A graph with weights that are not numbers."""
    model = onnx.load(folder / DECODER)
    (bias,) = (each for each in model.graph.initializer if each.name == "m.head.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) * float("nan"), bias.name))
    set_graphs(folder, decoder=model.SerializeToString())


ORIGINS = {
    "af_heart": "hibari-tts/0.2.1",
    "ef_dora": "began as the student of af_heart",
    "ff_siwis": "began as the student of ef_dora",
    "if_sara": "began as the student of ef_dora",
    "pf_dora": "began as the student of ef_dora",
}
"""Source that the origin of each student that ships names."""

LANGUAGES = {"af_heart": "en", "ef_dora": "es", "ff_siwis": "fr", "if_sara": "it", "pf_dora": "pt"}
"""The languages that they speak."""


async def test_student_of_ones_own_speaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    student(tmp_path / "dora")
    settings = KokoroSettings(student="only", students=tmp_path)
    assert known_voices(settings) == KnownVoices(frozenset(LANGUAGES), frozenset(LANGUAGES.values()))
    engine = KokoroEngine(settings, Resources(Path("no-such-folder")))
    await engine.start()
    assert {voice.id for voice in engine.info.voices} == set(LANGUAGES)
    assert engine.info.default_voices == {language: voice for voice, language in LANGUAGES.items()}
    assert "Kokoro's student speaks es as ef_dora: only" in caplog.messages
    text = "Hola, la sopa está lista."
    samples, spans = joined(await chunks_of(engine, Segment(text, "ef_dora", "es")))
    # The voice of the other language speaks what only that one was taught.
    other, _ = joined(await chunks_of(engine, Segment(text, "af_heart", "es")))
    await engine.stop()
    assert len(samples) > 24_000 and len(spans) == 5 and (other == samples).all()


def test_students_speak_beside_kokoro_and_load_when_they_do(tmp_path: Path) -> None:
    student(tmp_path / "dora")
    student(tmp_path / "alex", "em_alex")
    students = load_students(tmp_path, VOICES, threads=1)
    light = light_voices(students.facts, always=False)
    assert isinstance(light, LightVoices)
    assert light.languages == {**LANGUAGES, "em_alex": "es"}
    students = load_students(None, VOICES, threads=1)
    assert not students._models
    students.prepare("ola, ola.", Segment("", "af_heart", "en"), Stop())
    assert list(students._models) == ["af_heart"]
    # Those that ship may be replaced.
    folder = student(tmp_path / "own" / "heart", "af_heart", "en")
    shipped = [SHIPPED / voice for voice in ORIGINS]
    assert [each.folder for each in find_students(tmp_path / "own", VOICES)] == [folder, *shipped[1:]]
    assert [each.folder for each in find_students(None, VOICES)] == shipped
    assert {folder.name for folder in SHIPPED.iterdir()} == set(ORIGINS)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no graph": (lambda folder: (folder / PROSODY).unlink(), PROSODY),
    "changed graph": (lambda folder: (folder / DECODER).write_bytes(b"x"), f"{DECODER} fails its SHA-256"),
    "no model": (lambda folder: set_graphs(folder, decoder=b"x"), "not a student's"),
    "other graphs": (shuffled, "not a student's"),
    "no numbers": (speechless, "no speech"),
    "long graph": (lambda at: os.truncate(at / PROSODY, MAX_GRAPH_BYTES + 1), f"{PROSODY}: longer than"),
    "no JSON": (lambda folder: (folder / ORIGIN_FILE).write_bytes(b"{"), ORIGIN_FILE),
    "no voice": (lambda folder: (folder / ORIGIN_FILE).write_bytes(b"{}"), "missing required field `voice`"),
    "unknown voice": (lambda folder: change(folder, voice="mine"), "Kokoro has no voice 'mine'"),
    "other language": (lambda folder: change(folder, language="fr"), "ef_dora speaks 'es', not 'fr'"),
    "level": (lambda folder: change(folder, level=2.0), r"<= 1.*level"),
    "pitch": (lambda folder: change(folder, log_f0=440.0), r"<= 6.69.*log_f0"),
    "twice": (lambda folder: student(folder.with_name("again")), "ef_dora has another student"),
    "no student": (shutil.rmtree, "KANI_KOKORO_STUDENTS: .* has no folder with a student.json"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_refused_by_name(tmp_path: Path, case: str) -> None:
    folder = student(tmp_path / "dora")
    spoil, message = WRONG[case]
    spoil(folder)
    with pytest.raises(EngineUnavailable, match=message) as refused:
        load_students(tmp_path, VOICES, threads=1)
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize(("file", "named"), [(ORIGIN_FILE, "af_heart"), (PROSODY, "ef_dora")])
def test_broken_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, named: str) -> None:
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


SYMBOLS = "ðə bˈeɪkɚɹ ɑːn ˌaʊɚ skwˈɛɹ ˈoʊpənz hɪz ʃˈɑːp lˈɔŋ bᵻfˌoːɹ ðə sˈʌn."


@pytest.mark.parametrize("voice", ORIGINS)
def test_files_match_their_origin_and_bring_their_licence(voice: str) -> None:
    folder = SHIPPED / voice
    origin = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    assert ORIGINS[voice] in origin["origin"] and origin["voice"] == voice
    assert origin["licence"] == "Apache-2.0"
    for name in (PROSODY, DECODER):
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == origin["sha256"][name]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 9_000_000
    assert "Apache License" in (folder / LICENCE_FILE).read_text(encoding="utf-8")
    assert "Kokoro-82M" in (folder / NOTICE_FILE).read_text(encoding="utf-8")


def test_samples_are_the_frames_that_durations_count() -> None:
    model = StudentModel(1, StudentFiles.read(ENGLISH))
    prosody = model.predict(SYMBOLS, 1.0, Stop())
    frames = int(prosody.frames.sum())
    assert len(prosody.frames) == len(SYMBOLS) + 2 and prosody.frames.min() >= 1
    assert prosody.pitch.shape == prosody.energy.shape == (1, 2 * frames)
    assert len(model.decode(prosody, 0, frames, Stop())) == frames * FRAME_SAMPLES
    slower = model.predict(SYMBOLS, 0.8, Stop())
    assert slower.frames.sum() / frames == pytest.approx(1 / 0.8, rel=0.05)
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        model.predict(SYMBOLS, 1.0, stop)
    with pytest.raises(Stopped):
        model.decode(prosody, 0, 10, stop)


def spectra(count: int) -> np.ndarray:
    """Silence: every magnitude is nothing."""
    made = np.zeros((count, 5, BANDS), np.float32)
    made[:, [0, 2, 3]] = -60.0
    return made


def test_pulses_are_all_harmonics_below_eleven_kilohertz() -> None:
    for hertz in (60.0, 187.5, 400.0):
        train = pulses(np.full(80, hertz, np.float32), 0, 80)
        turns = hertz * np.arange(1, 80 * HOP + 1) / SAMPLE_RATE
        harmonics = np.arange(1, int(11_000 // hertz) + 1)
        wanted = np.cos(2 * np.pi * harmonics[:, np.newaxis] * turns).sum(axis=0)
        assert len(train) == 80 * HOP
        assert agreement_db(wanted, train) > 55, hertz
    train = pulses(np.array([200.0] * 4 + [0.0] * 4 + [200.0] * 4, np.float32), 0, 12)
    assert not train[5 * HOP : 7 * HOP].any(), "where there is no pitch"
    assert train[: 3 * HOP].any() and train[-3 * HOP :].any()
    # Parts equal the whole.
    pitch = np.linspace(80, 300, 40, dtype=np.float32)
    np.testing.assert_array_equal(pulses(pitch, 7, 20), pulses(pitch, 0, 40)[7 * HOP : 20 * HOP])


def test_filter_without_effect_and_noise_are_as_asked() -> None:
    count = 40
    given, pitch = spectra(count), np.full(count, 150.0, np.float32)
    # The source's window is scaled by 300, so that a cosine of amplitude 1 has the magnitude 2.
    given[:, 0] = np.log(np.float32(WINDOW / 4))
    made = synthesize(given.reshape(count, -1), pitch)
    inside = slice(2 * HOP, -4 * HOP)
    assert agreement_db(pulses(pitch, 0, count)[inside], made[inside]) > 60
    given = spectra(100)
    given[:, 2] = 1.0
    first, again, louder = (
        synthesize((given + offset).reshape(100, -1), np.zeros(100, np.float32))
        for offset in (0.0, 0.0, np.log(2) * (np.arange(5) == 2)[:, np.newaxis].astype(np.float32))
    )
    assert np.array_equal(first, again) and first.any()
    assert agreement_db(2 * first, louder) > 80
