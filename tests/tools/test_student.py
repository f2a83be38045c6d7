"""The student in PyTorch computes what the shipped graphs do, and learns from the sentences of texts."""

import csv
import gzip
import os
import signal
import struct
import sys
from dataclasses import fields, replace
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
import torch

from kani.core.types import Segment
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Network, Stop, frame_counts
from kani.engines.kokoro.student import waveform as runtime_waveform
from kani.engines.kokoro.student.files import DECODER, ENGLISH, LICENCE_FILE, PROSODY, StudentFiles
from kani.engines.kokoro.student.synthesizer import StudentModel, load_students
from kani.engines.kokoro.text.vocabulary import PAD, VOCABULARY
from kani.engines.kokoro.timing import speech_level
from kani.engines.kokoro.voices import Voices
from tests.support.kokoro import VNNI
from tools.student import corpus, targets
from tools.student import training as training_module
from tools.student.__main__ import main
from tools.student.batches import CUT_FRAMES, MOST_SYMBOLS, Cuts, Utterances, cut_batches, whole_batches
from tools.student.export import Origin, as_long_as_taught, save_student, speak
from tools.student.graph_weights import read_weights, write_weights
from tools.student.network import Student
from tools.student.targets import Target, make_shards, read_shard, save_shard
from tools.student.training import Interrupted, Training, TrainingPlan
from tools.student.waveform import pulses, synthesize


def _learned(file: Path) -> set[str]:
    return {text for text in corpus.sentences([file], "es") if text not in corpus.sentences([], "es")}


@pytest.mark.heard
def test_texts_give_their_prose(tmp_path: Path) -> None:
    """Without authors, code and marks."""
    fortunes, page, manual = (tmp_path / name for name in ("amistad.fortunes", "manual.html.gz", "ls.1"))
    fortunes.write_text(
        "El amigo ha de ser como el dinero. Antes de\nnecesitarlo, se sabe el valor que tiene.\n"
        "\t\t-- Sócrates. (470 AC) Filósofo griego.\n%\nNo.\n%\n"
        "The best friend is the one who stays at home.\n"
    )
    told = {"El amigo ha de ser como el dinero.", "Antes de necesitarlo, se sabe el valor que tiene."}
    assert _learned(fortunes) == told
    html = (
        "<title>x</title><p>La casa está cerca del río grande.</p><pre>ls -l /tmp</pre>"
        "<p>Para verlo, escriba <code>ls</code> en la consola de su casa.</p>"
    )
    page.write_bytes(gzip.compress(html.encode()))
    assert _learned(page) == {"La casa está cerca del río grande."}
    manual.write_text(
        ".TH LS 1\n.PP\nPor defecto, muestra la información\n"
        "\\fBde los archivos\\fP del directorio.\n.TP\n\\-a\n"
    )
    assert _learned(manual) == {"Por defecto, muestra la información de los archivos del directorio."}


@pytest.mark.parametrize("order", ["<", ">"])
def test_compiled_translations_give_their_sentences(tmp_path: Path, order: str) -> None:
    """The header, a plural and a dialogue, as msgfmt writes them."""
    texts = {
        "": "Content-Type: text/plain; charset=UTF-8\n",
        "One.\0Many.": "Ha venido una persona.\0Han venido muchas personas.",
        "Hurry!": "¡Date prisa, la puerta se cierra! Mi hermano nos espera en el puente.",
    }
    parts = [part.encode() + b"\0" for pair in texts.items() for part in pair]
    begins = np.cumsum([28 + 16 * len(texts), *map(len, parts)])
    entries = [(len(part) - 1, begin) for part, begin in zip(parts, begins, strict=False)]
    tables = [number for table in (entries[::2], entries[1::2]) for entry in table for number in entry]
    head = (0x950412DE, 0, len(texts), 28, 28 + 8 * len(texts), 0, 0)
    file = tmp_path / "game.mo"
    file.write_bytes(struct.pack(f"{order}{len(head) + len(tables)}I", *head, *tables) + b"".join(parts))
    assert _learned(file) == {
        "Ha venido una persona.",
        "Han venido muchas personas.",
        "¡Date prisa, la puerta se cierra!",
        "Mi hermano nos espera en el puente.",
    }


def test_a_fiftieth_is_held_out_and_stays_so() -> None:
    texts = corpus.sentences([], "es")
    share = sum(map(corpus.held_out, texts)) / len(texts)
    assert 0.005 < share < 0.05
    assert texts == corpus.sentences([], "es")
    assert corpus.missing_pairs(["ola", "sol"], ["sola", "los", "los"]) == {"lo": 2, "os": 2}


SYMBOLS = "həlˈO, ðˈɛɹ."


@pytest.fixture(scope="module")
def graphs() -> dict[str, onnx.ModelProto]:
    return {name: onnx.load(ENGLISH / name) for name in (PROSODY, DECODER)}


@pytest.fixture(scope="module")
def target() -> Target:
    """The English student's own speech."""
    model = StudentModel(1, StudentFiles.read(ENGLISH))
    prosody = model.predict(SYMBOLS, 1.0, Stop())
    frames = prosody.frames
    return Target(
        np.array([PAD, *(VOCABULARY[symbol] for symbol in SYMBOLS), PAD], np.int64),
        frames,
        prosody.pitch[0],
        prosody.energy[0],
        model.decode(prosody, 0, int(frames.sum()), Stop()),
    )


def _twice(target: Target) -> Target:
    """It is longer than a cut."""
    twice = Target(*(np.tile(getattr(target, field.name), 2) for field in fields(target)))
    twice.symbols[1:-1][twice.symbols[1:-1] == PAD] = VOCABULARY["."]
    return twice


@pytest.fixture
def shard(target: Target, tmp_path: Path) -> Path:
    save_shard(tmp_path / "00000.npz", [_twice(target)] * 2)
    return tmp_path / "00000.npz"


@torch.no_grad()
def test_the_network_equals_the_graphs(graphs: dict[str, onnx.ModelProto], target: Target) -> None:
    student = Student()
    student.load_state_dict(read_weights(*graphs.values()))
    student.eval()
    longer = replace(target, symbols=np.repeat(target.symbols, 2), frames=np.repeat(target.frames, 2))
    # Beside a longer utterance: what fills the batch up must change nothing.
    batch = Utterances.of([target, longer])
    durations, pitch, energy = student.pn(batch.symbols, batch.present, batch.owners, batch.sounding)
    count, halves = len(target.symbols), 2 * int(target.frames.sum())
    found = durations[0, :count].expm1().numpy()
    # Values are rounded to int8 inside the graph: 1 % of them is its own error.
    assert np.abs(found - target.frames).max() < 1.0
    assert np.abs(pitch[0, :halves].numpy() - target.pitch).mean() < 2
    assert np.abs(energy[0, :halves].numpy() - target.energy).mean() < 0.1

    features = student.m.features(batch.symbols, batch.present, batch.owners)[:1, :, :halves]
    spectra = student.m(features, batch.pitch[:1, :halves], batch.energy[:1, :halves])
    quiet = spectra._replace(noise=torch.full_like(spectra.noise, -30))
    sound = synthesize(quiet, pulses(batch.pitch[:1, :halves]))[0].numpy()
    rows = torch.cat(list(quiet), dim=1)[0].T.contiguous().numpy()
    assert np.abs(sound - runtime_waveform.synthesize(rows, target.pitch)).max() < 1e-3


def test_weights_survive_graphs(graphs: dict[str, onnx.ModelProto], target: Target, tmp_path: Path) -> None:
    exported = [write_weights(model, read_weights(model)) for model in graphs.values()]
    pitches = []
    # A first export gives each output of the published matrices its own scale; a second changes nothing.
    for turn, models in enumerate((exported, [write_weights(one, read_weights(one)) for one in exported])):
        folder = tmp_path / str(turn)
        parts = {name: one.SerializeToString() for name, one in zip(graphs, models, strict=True)}
        save_student(folder / "student", parts, Origin(ENGLISH, "ef_dora", "es-ES", "0 steps"))
        students = load_students(folder, Voices().all, threads=1)
        assert [one.language for one in students.facts if one.voice == "ef_dora"] == ["es"]
        prosody = students.prepare(SYMBOLS, Segment("", "ef_dora", "es"), Stop()).prosody
        np.testing.assert_array_equal(prosody.frames, target.frames)
        pitches.append(prosody.pitch[0])
    np.testing.assert_allclose(pitches[1], pitches[0], atol=0.5)
    # Without VNNI sums of products saturate: then it is some 2 Hz.
    assert np.abs(pitches[0] - target.pitch).mean() < (1 if VNNI else 4)


def test_exported_student_speaks_as_long(graphs: dict[str, onnx.ModelProto], target: Target) -> None:
    """Its long sounds become longer, and are as before where the teacher is as long; marks stay."""
    sounds = np.isin(target.symbols, [VOCABULARY[each] for each in ",. "] + [PAD], invert=True)
    frames = np.where(sounds & (target.frames >= 4), 2 * target.frames, target.frames)
    assert frames.sum() > 1.1 * target.frames.sum()
    longer = as_long_as_taught(graphs[PROSODY], [replace(target, frames=frames)])
    found = _predicted_frames(longer, target)
    assert found.sum() == pytest.approx(frames.sum(), rel=0.03)
    changed = found != target.frames
    assert changed.any() and not (changed & ~(sounds & (target.frames >= 3))).any()
    again = as_long_as_taught(longer, [target])
    np.testing.assert_array_equal(_predicted_frames(again, target), target.frames)


def _predicted_frames(prosody: onnx.ModelProto, target: Target) -> np.ndarray:
    given = {"ids": target.symbols[None], "speed": np.ones(1, np.float32)}
    (durations,) = Network(prosody.SerializeToString(), 1).run(given, ("durations",), Stop())
    return frame_counts(durations)


def test_exported_student_is_as_loud_as_its_teacher(
    graphs: dict[str, onnx.ModelProto], target: Target, tmp_path: Path
) -> None:
    """Taught by the English student with the same weights, once as it is and once at half its level."""
    parts = {name: graph.SerializeToString() for name, graph in graphs.items()}
    gain = StudentFiles.read(ENGLISH).facts.gain
    for factor in (1.0, 0.5):
        spoken = replace(target, samples=np.float32(factor) * target.samples)
        save_student(tmp_path, parts, Origin(ENGLISH, "af_bella", "en", "0 steps"), [spoken])
        files = StudentFiles.read(tmp_path)
        assert files.facts.gain == pytest.approx(factor * gain, abs=0.01)
        (said,) = speak(files, [spoken])
        assert speech_level(said) == pytest.approx(speech_level(spoken.samples), rel=0.03)
    assert (tmp_path / LICENCE_FILE).read_bytes() == (ENGLISH / LICENCE_FILE).read_bytes()


def test_shards_keep_targets_and_those_of_other_texts_are_made_again(
    target: Target, shard: Path, tmp_path: Path
) -> None:
    spoken: list[str] = []

    def speak(symbols: str) -> Target:
        spoken.append(symbols)
        ids = np.array([PAD, *(VOCABULARY[symbol] for symbol in symbols), PAD], np.int64)
        return replace(target, symbols=ids)

    for texts, expected in ((["ola", "sol"], ["ola", "sol"]), (["ola", "sol"], []), (["ola"], ["ola"])):
        spoken.clear()
        (made,) = make_shards(speak, texts, tmp_path / "made")
        assert spoken == expected and len(list(read_shard(made))) == len(texts)
    first, second = read_shard(shard)
    target = _twice(target)
    np.testing.assert_array_equal(first.symbols, target.symbols)
    np.testing.assert_array_equal(second.frames, target.frames)
    np.testing.assert_allclose(first.samples, target.samples, atol=1 / 32767)
    assert len(first.samples) == first.frames.sum() * FRAME_SAMPLES


def test_batches_are_whole_utterances_and_cuts_of_them(target: Target, shard: Path) -> None:
    cpu, target = torch.device("cpu"), _twice(target)
    whole = next(whole_batches([shard], 2, 1, cpu))
    np.testing.assert_array_equal(whole.frames[0], target.frames)
    cuts = next(cut_batches([shard], 2, 1, cpu))
    assert cuts.owners.shape == (2, CUT_FRAMES) and cuts.samples.shape == (2, CUT_FRAMES * FRAME_SAMPLES)
    owners = np.repeat(np.arange(len(target.frames)), target.frames)
    windows = np.lib.stride_tricks.sliding_window_view(owners, CUT_FRAMES)
    for row in range(2):
        (at,) = np.flatnonzero((windows == cuts.owners[row].numpy()).all(axis=1))
        part = slice(at * FRAME_SAMPLES, (at + CUT_FRAMES) * FRAME_SAMPLES)
        np.testing.assert_allclose(cuts.samples[row], target.samples[part], atol=1 / 32767)
        np.testing.assert_allclose(cuts.pitch[row], target.pitch[2 * at : 2 * (at + CUT_FRAMES)], rtol=1e-3)
    # A GPU's step is recorded: its batches have one shape.
    for batch in (Utterances.of([target], longest=True), Cuts.of([target], Random(1), longest=True)):
        assert batch.symbols.shape == (1, MOST_SYMBOLS)
    with pytest.raises(ValueError, match="no utterance in 1 shards can be used"):
        save_shard(shard, [replace(target, frames=target.frames // 4)])
        next(cut_batches([shard], 1, 1, cpu))


@pytest.mark.heard
def test_training_brings_the_student_nearer_and_goes_on_after_a_stop(
    graphs: dict[str, onnx.ModelProto], shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "_WARM_UP", 1)
    monkeypatch.setattr(training_module, "_VALIDATE_EVERY", 3)
    state = read_weights(*graphs.values())
    generator = torch.Generator().manual_seed(1)
    for name in ("pn.dur.2.bias", "pn.pro_out.bias", "m.head.bias"):
        state[name] = state[name] + torch.randn(state[name].shape, generator=generator)
    plan = TrainingPlan(steps=6, batch=2, rate=2e-4)
    work, device = shard.parent, torch.device("cpu")
    begun = Training(state, plan, work, device)
    before = begun.validate([shard])

    noted, kept = begun._note, list[int]()

    def stop_after_a_line(*arguments: dict[str, float]) -> None:
        noted(*arguments)
        if begun.step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(begun, "_note", stop_after_a_line)
    with pytest.raises(Interrupted):
        begun.run([shard], [shard], lambda: kept.append(begun.step))
    assert begun.step == 3

    resumed = Training(state, plan, work, device)
    assert resumed.step == 3
    resumed.run([shard], [shard], lambda: kept.append(resumed.step))
    after = resumed.validate([shard])
    assert all(after[name] < before[name] for name in ("duration", "energy", "sound")), (before, after)
    with (work / "curve.csv").open(newline="") as curve:
        assert [row["step"] for row in csv.DictReader(curve)] == ["0", "3", "6"]
    assert kept == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.heard
def test_prosody_learns_from_planned_sentences_and_sound_from_spoken_ones(
    graphs: dict[str, onnx.ModelProto], target: Target, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "_WARM_UP", 1)
    state = read_weights(*graphs.values())
    slow = replace(target, frames=3 * target.frames, pitch=np.repeat(target.pitch, 3))
    slow = replace(slow, energy=np.repeat(target.energy, 3), samples=np.zeros(0, np.float32))
    planned = shard.with_name("planned.npz")
    save_shard(planned, [slow, slow])
    training = Training(state, TrainingPlan(steps=6, batch=2, rate=1e-3), shard.parent, torch.device("cpu"))
    before = training.validate([shard])
    training.run([shard], [shard], lambda: None, [planned])
    learned = Utterances.of([slow])
    frames = training.student.pn(learned.symbols, learned.present, learned.owners, learned.sounding)[0]
    assert frames.expm1().mean() > 1.5 * target.frames.mean()
    assert training.validate([shard])["duration"] > before["duration"] + 0.5


def _command(monkeypatch: pytest.MonkeyPatch, folder: Path, voice: str, language: str) -> None:
    given = {"--voice": voice, "--language": language, "--texts": folder, "--work": folder / "work"}
    given |= {"--threads": torch.get_num_threads(), "--steps": 1, "--batch": 2}
    options = [str(part) for option in given.items() for part in option]
    monkeypatch.setattr(sys, "argv", ["student", *options])
    monkeypatch.delattr("os.nice", raising=False)
    main()


@pytest.mark.heard
def test_command_keeps_the_students_on_the_way_and_the_held_out_texts(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its teacher says the same of every text."""

    target = _twice(target)

    class Speaker:
        def __init__(self, *_: object) -> None: ...

        def symbols(self, _text: str) -> str:
            return SYMBOLS

        def speak(self, _symbols: str) -> Target:
            return target

        def plan(self, _symbols: str) -> Target:
            return replace(target, samples=np.zeros(0, np.float32))

    monkeypatch.setattr(targets, "Teacher", Speaker)
    texts = [
        f"My {one} grandmother made soup {'very ' * count}well." for one in "abcdef" for count in range(15)
    ]
    held = next(text for text in texts if corpus.held_out(text))
    learned = [text for text in texts if not corpus.held_out(text)][:2]
    (tmp_path / "texts.txt").write_text("\n\n".join([held, *learned]), encoding="utf-8")
    _command(monkeypatch, tmp_path, "af_bella", "en")
    work = tmp_path / "work"
    assert sorted(kept.name for kept in (work / "students").iterdir()) == ["000000", "000001"]
    assert (work / "held-out" / "texts.txt").read_text(encoding="utf-8") == f"{held}\n"
    students = load_students(work, Voices().all, threads=1)
    assert "af_bella" in [facts.voice for facts in students.facts]


def test_what_cannot_be_trained_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.txt").write_text("The soup of my grandmother was the best of all.\n")
    with pytest.raises(SystemExit, match="--language en: ef_dora speaks es"):
        _command(monkeypatch, tmp_path, "ef_dora", "en")
    with pytest.raises(SystemExit, match="name more texts"):
        _command(monkeypatch, tmp_path, "af_heart", "en")
    with pytest.raises(SystemExit, match=r"work is of af_heart en: name another folder for af_bella en"):
        _command(monkeypatch, tmp_path, "af_bella", "en")
    with pytest.raises(SystemExit, match="name more texts"):
        _command(monkeypatch, tmp_path, "af_heart", "en-GB")
