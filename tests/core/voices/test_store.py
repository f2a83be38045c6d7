"""Stored voices: input checks, files on disk, embeddings, versions, and deletion; advice on recordings."""

import hashlib
import json
import logging
import os
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kani.core.errors import (
    InvalidRequest,
    NameTaken,
    Reason,
    StoreUnavailable,
    UnknownVoice,
    UnsupportedLanguage,
)
from kani.core.types import MAX_EMBEDDING_VALUES, Embedding, Recording, Similarity
from kani.core.voices.recording_check import SENTENCES, advice, reason_of
from kani.core.voices.store import VoiceStore
from kani.core.voices.store_files import hashed_name
from tests.core.voices.stored import CONSENT, add, embedding, files_below, recording
from tests.support import permissions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> VoiceStore:
    return VoiceStore(folder)


def place(folder: Path, name: str) -> Path:
    return folder / "voices" / hashed_name(name)


def test_voice_is_stored_with_consent_in_files_of_its_owner(store: VoiceStore, folder: Path) -> None:
    data = recording()
    kept = add(store, "Ana_1", recording=data, language="spanish", description="warm")
    assert kept.id == "custom:Ana_1"
    assert (kept.language, kept.description, kept.consent, kept.origin) == ("es", "warm", CONSENT, "test")
    told = (kept.sha256, kept.size, kept.duration_s, kept.sample_rate)
    assert told == (hashlib.sha256(data).hexdigest(), len(data), 3.5, 8000)
    assert datetime.now(UTC) - datetime.fromisoformat(kept.consent_at) < timedelta(minutes=1)
    again = VoiceStore(folder)
    assert again.get("Ana_1") == again.get("custom:Ana_1") == kept
    assert again.recording(again.get("Ana_1")) == data
    assert again.list() == [kept]
    voices = folder / "voices"
    # Permissions are POSIX's.
    assert os.name == "nt" or not any(path.stat().st_mode & 0o077 for path in [voices, *voices.rglob("*")])


def test_reading_makes_no_file_and_deletion_removes_all_of_a_voice(store: VoiceStore, folder: Path) -> None:
    assert store.list() == []
    with pytest.raises(UnknownVoice):
        store.get("ana")
    assert not folder.exists()
    store.save_embedding(add(store, consent_recording=recording(1.0)), embedding())
    add(store, "eva")
    other = folder / "voices" / ".DS_Store"
    other.write_bytes(b"")
    store.delete("custom:ana")
    for call in (store.get, store.delete):
        with pytest.raises(UnknownVoice):
            call("ana")
    assert len(files_below(folder)) == 3
    store.delete("eva")
    assert files_below(folder) == [other]
    add(store)
    assert [voice.name for voice in store.list()] == ["ana"]


@pytest.mark.parametrize("name", ["a", "José", "Jose\u0301", "声", "CON", "aux", "-", "_", "A" * 64, "nul"])
def test_valid_name_is_stored_and_its_unicode_forms_are_one(store: VoiceStore, name: str) -> None:
    add(store, "JOSÉ")
    composed = unicodedata.normalize("NFC", name)
    assert add(store, name).name == store.get(name).name == store.get(composed).name == composed


def test_spoken_consent_is_stored(store: VoiceStore) -> None:
    spoken = recording(1.0)
    ana = add(store, "ana", consent="", consent_recording=spoken)
    assert ana.has_consent_recording and ana.consent == "" and store.get("ana") == ana
    assert ana.consent_sha256 == hashlib.sha256(spoken).hexdigest()
    assert store.consent_recording("custom:ana") == spoken
    eva = add(store, "eva")
    assert not eva.has_consent_recording and store.consent_recording("eva") is None
    assert add(store, "both", consent_recording=spoken).consent == CONSENT
    with pytest.raises(UnknownVoice):
        store.consent_recording("nobody")


def test_recording_check_advises_and_refuses(folder: Path) -> None:
    def judge(heard: Recording) -> tuple[str, ...]:
        if np.abs(heard.samples).max() < 0.01:
            raise InvalidRequest("reference", "nobody speaks in it")
        return ("It is rather quiet.",) if np.abs(heard.samples).max() < 0.1 else ()

    store = VoiceStore(folder, judge)
    assert add(store, "loud").advice == ()
    quiet = add(store, "quiet", recording=recording(level=0.05))
    assert quiet.advice == ("It is rather quiet.",) and store.get("quiet") == quiet
    for argument, field in (("recording", "audio"), ("consent_recording", "consent_recording")):
        with pytest.raises(InvalidRequest, match=f"^{field}: nobody speaks"):
            add(store, "silent", **{argument: recording(level=0.0)})
    assert [voice.name for voice in store.list()] == ["loud", "quiet"]


def test_rename_keeps_everything_else(store: VoiceStore, folder: Path) -> None:
    data = recording(4.0)
    before = add(store, recording=data, consent_recording=recording(1.0), language="es")
    store.save_embedding(before, embedding())
    after = store.rename("custom:ana", "Ana-María")
    assert after == store.get("Ana-María") == store.list()[0]
    assert after.renamed_at is not None
    assert replace(after, name="ana", renamed_at=None) == before
    assert (store.recording(after), store.consent_recording("Ana-María")) == (data, recording(1.0))
    assert [one.model for one in store.embeddings(after)] == ["near-1"]
    with pytest.raises(UnknownVoice):
        store.get("ana")
    for name in ("eva", "Ana-María", "eva", "eva"):
        assert store.rename(store.list()[0].name, name) == store.get(name)
    add(store)
    assert store.rename("eva", "x").name == "x"
    assert [voice.name for voice in VoiceStore(folder).list()] == ["ana", "x"]


def test_name_that_is_taken_or_invalid_is_refused(store: VoiceStore, folder: Path) -> None:
    ana, eva = add(store), add(store, "eva")
    for new, error in (("eva", NameTaken), ("../x", InvalidRequest), ("", InvalidRequest)):
        with pytest.raises(error, match=r"^name: "):
            store.rename("ana", new)
        assert store.list() == [ana, eva], new
    with pytest.raises(UnknownVoice):
        store.rename("nobody", "somebody")
    with pytest.raises(NameTaken, match=r"name: .*'ana' already"):
        add(store, recording=recording(4.0))
    assert store.get("ana") == ana
    # Also that of a voice which cannot be read.
    (place(folder, "ana") / "voice.json").write_text("{")
    with pytest.raises(NameTaken):
        add(store)
    store.delete("ana")
    assert add(store) == store.get("ana")


NAMES = ["a" * 65, *"|a b|../ana|a/b|a\\b|.|..|a\0|a\n|x:y|🎉|\ud800|\u093fa".split("|")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *(({"name": name}, "name") for name in NAMES),
        *(({"consent": said}, "consent") for said in ("", " \n", "x" * 2001, "yes\0")),
        ({"description": "\ud800"}, "description"),
        *(({"consent_recording": said}, "consent_recording") for said in (b"", b"I agree", recording(0.9))),
        ({"consent_recording": recording(60.1), "consent": ""}, "consent_recording"),
        *(({"recording": said}, "audio") for said in (b"", b"hello", bytes(10 * 1024 * 1024 + 1))),
        *(({"recording": recording(seconds)}, "audio") for seconds in (2.9, 60.1)),
        ({"language": "klingonish"}, "language"),
    ],
)
def test_refusal_names_field_and_stores_nothing(
    store: VoiceStore, folder: Path, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        add(store, **changes)
    assert caught.value.field == field
    assert files_below(folder) == []
    assert isinstance(caught.value, UnsupportedLanguage) == (field == "language")


def test_number_of_voices_is_limited(store: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.core.voices.store.MAX_VOICES", 2)
    add(store, "a")
    add(store, "b")
    with pytest.raises(InvalidRequest, match="no more than 2"):
        add(store, "c")
    store.delete("a")
    add(store, "c")


def test_broken_folder_skipped(store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["cut", "json", "field", "type", "moved", "gone", "unagreed", "good"]
    for name in names:
        add(store, name, consent_recording=recording(1.0))
    (place(folder, "cut") / "recording").write_bytes(b"RIFF")
    facts = json.loads((place(folder, "field") / "voice.json").read_text())
    typed = facts | {"name": "type", "size": "large"}
    written = {"json": "{", "field": json.dumps(facts | {"unknown": 1}), "type": json.dumps(typed)}
    for name, content in written.items():
        (place(folder, name) / "voice.json").write_text(content)
    place(folder, "moved").rename(folder / "voices" / ("0" * 32))
    (place(folder, "gone") / "recording").unlink()
    (place(folder, "unagreed") / "consent").unlink()
    (folder / "voices" / "stray.txt").write_text("not a voice")
    with caplog.at_level(logging.WARNING):
        assert [voice.name for voice in store.list()] == ["good"]
    assert len(caplog.records) == len(names) - 1
    for name in names[:-1]:
        with pytest.raises(UnknownVoice):
            store.get(name)


def test_consents_are_listed_newest_first(store: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for second in (3, 1, 2):
        monkeypatch.setattr("kani.core.voices.store.time", SimpleNamespace(time=lambda second=second: second))
        store.consents.add(f"Consent {second}", "es", recording(1.0))
    assert [consent.name for consent in store.consents.list()] == ["Consent 3", "Consent 2", "Consent 1"]
    monkeypatch.setattr("kani.core.voices.store.MAX_CONSENTS", 3)
    with pytest.raises(InvalidRequest, match="no more than 3 consents"):
        store.consents.add("Consent 4", "es", recording(1.0))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=70))
def test_no_name_escapes_folder(store: VoiceStore, folder: Path, name: str) -> None:
    try:
        store.delete(add(store, name).id)
    except InvalidRequest as error:
        assert error.field == "name"
    with pytest.raises(UnknownVoice):
        store.get(name)
    assert files_below(folder) == []


def told(of: Embedding | None) -> object:
    return of and (of.engine, of.model, of.values.dtype, of.values.tobytes(), dict(of.similarity))


def test_embeddings_are_stored_exactly_and_go_with_their_voice(store: VoiceStore, folder: Path) -> None:
    assert store.embeddings(add(store)) == ()
    made = replace(embedding(), values=np.random.default_rng(1).random(MAX_EMBEDDING_VALUES, np.float32))
    store.save_embedding(store.get("ana"), made)
    for reader in (store, VoiceStore(folder)):
        assert told(reader.embedding(reader.get("custom:ana"), "near-1")) == told(made)
        assert reader.embedding(reader.get("ana"), "near-2") is None
        assert [told(one) for one in reader.embeddings(reader.get("ana"))] == [told(made)]
    voice = store.get("ana")
    store.delete("ana")
    for _ in range(2):
        for read in (store.embeddings, store.recording, lambda voice: store.embedding(voice, "near-1")):
            with pytest.raises(UnknownVoice):
                read(voice)
        if not store.list():
            store.save_embedding(add(store, recording=recording(5.0)), embedding())


def test_each_engine_has_its_own_embedding(store: VoiceStore, folder: Path) -> None:
    voice = add(store)
    other = embedding(2, "kani/2 ../x", "wavlm-1")
    for one in (embedding(), other, embedding(3, "kokoro", "near-2")):
        store.save_embedding(voice, one)
    assert sorted(one.model for one in store.embeddings(store.get("ana"))) == ["near-2", "wavlm-1"]
    assert store.embedding(store.get("ana"), "near-1") is None
    assert told(store.embedding(store.get("ana"), "wavlm-1")) == told(other)
    store.delete("ana")
    store.save_embedding(add(store), embedding())
    (path,) = place(folder, "ana").glob("*.embedding.json")
    whole = path.read_bytes()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        assert store.embeddings(store.get("ana")) == ()


def test_embedding_of_replaced_voice_is_not_stored(store: VoiceStore, folder: Path) -> None:
    voice = add(store)
    store.delete("ana")
    store.save_embedding(voice, embedding())
    assert not place(folder, "ana").exists()
    add(store, recording=recording(4.0))
    store.save_embedding(voice, embedding())
    assert store.embeddings(store.get("ana")) == ()
    renamed = store.rename("ana", "eva")
    for saved, count in ((voice, 0), (renamed, 1)):
        store.save_embedding(saved, embedding())
        assert len(store.embeddings(store.get("eva"))) == count


@pytest.mark.parametrize(
    "wrong",
    [
        Embedding("e", "m", np.zeros(0, np.float32)),
        Embedding("e", "m", np.zeros(MAX_EMBEDDING_VALUES + 1, np.float32)),
        Embedding("e", "m", np.zeros((2, 2), np.float32)),
        Embedding("e", "m", np.zeros(2, np.float64)),  # type: ignore[arg-type]
        Embedding("e", "m", np.array([1.0, np.nan], np.float32)),
        Embedding("e", "m", np.zeros(2, np.float32), {"es": Similarity(0.5, float("inf"), False)}),
    ],
)
def test_invalid_embedding_is_refused(store: VoiceStore, wrong: Embedding) -> None:
    voice = add(store)
    with pytest.raises(ValueError, match=r"an embedding|a similarity"):
        store.save_embedding(voice, wrong)
    assert store.embeddings(store.get("ana")) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"values": "AAAA"}, {"values": ""}, {"values": "AADAfw=="}, {"recording": "0" * 64}, {"engine": 1},
        {"unknown": 1}, {"similarity": {"es": {"before": None, "now": 0.5, "measured": True}}},
        {"similarity": {"es": 0.5}},
    ],
)  # fmt: skip
def test_broken_embedding_is_skipped(
    store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    voice = add(store)
    store.save_embedding(voice, embedding())
    (path,) = place(folder, "ana").glob("*.embedding.json")
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | change))
    with caplog.at_level(logging.WARNING):
        assert store.embedding(store.get("ana"), "near-1") is None
    assert "unreadable embedding of stored voice" in caplog.text
    store.save_embedding(voice, embedding())
    assert told(store.embedding(store.get("ana"), "near-1")) == told(embedding())


@pytest.mark.parametrize(
    ("change", "left"),
    [(lambda store: store.rename("eva", "ana"), ["ana"]), (lambda store: store.delete("eva"), [])],
)
def test_version_1_is_read_and_upgraded_by_the_first_change(
    folder: Path, change: Callable[[VoiceStore], object], left: list[str]
) -> None:
    voice = place(folder, "eva")
    voice.mkdir(parents=True)
    (voice / "recording").write_bytes(recording())
    facts = {"name": "eva", "language": "es", "description": "", "consent": CONSENT, "origin": "voices"}
    facts |= {"consent_at": "2026-01-02T03:04:05+00:00", "sha256": "0" * 64}
    numbers = {"size": len(recording()), "duration_s": 3.5, "sample_rate": 8000}
    (voice / "voice.json").write_text(json.dumps(facts | numbers, indent=2))
    store = VoiceStore(folder)
    eva = store.get("eva")
    assert (eva.consent, eva.has_consent_recording, eva.advice, eva.renamed_at) == (CONSENT, False, (), None)
    assert store.list() == [eva] and store.embeddings(eva) == ()
    assert [*(folder / "voices").iterdir()] == [voice]
    (voice.parent / ".abcd_123").mkdir()  # as an interrupted writer left it
    change(store)
    assert not (voice.parent / ".abcd_123").exists()
    assert not left or (folder / "voices" / "version").read_text() == "2\n"
    assert [voice.name for voice in VoiceStore(folder).list()] == left and not voice.exists()


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (b"3\n", "newer version .*format 3; this one reads up to 2.*: start that one, or set KANI_DATA_DIR"),
        (b"two", "damaged: .*should say 2; restore it"),
        (b"", "damaged"),
        (b"9" * 5000, "damaged"),
    ],
)
def test_unreadable_version_is_refused_with_cure(folder: Path, version: bytes, reason: str) -> None:
    store = VoiceStore(folder)
    eva = add(store, "eva")
    (folder / "voices" / "version").write_bytes(version)
    for call in (lambda: VoiceStore(folder), lambda: add(store), lambda: store.rename("eva", "ana")):
        with pytest.raises(StoreUnavailable, match=reason):
            call()
    assert store.list() == [eva]
    assert (folder / "voices" / "version").read_bytes() == version


def test_folder_without_permission_is_refused(folder: Path) -> None:
    add(VoiceStore(folder))
    (folder / "voices").chmod(0)
    try:
        with permissions.binding(), pytest.raises(StoreUnavailable, match="Permission denied"):
            VoiceStore(folder)
    finally:
        (folder / "voices").chmod(0o700)


def test_sentences_of_advice_are_read_back() -> None:
    for code, sentence in SENTENCES.items():
        values = {name: 2.0 for _, name, _, _ in Formatter().parse(sentence) if name}
        assert reason_of(advice(code, **values)) == Reason(code, values), code
    # The numbers are those of the sentence; other versions' sentences have no code.
    assert reason_of(advice("little_speech", seconds=1.26)) == Reason("little_speech", {"seconds": 1.3})
    assert reason_of(advice("clipped", places=12)) == Reason("clipped", {"places": 12.0})
    for sentence in ("", "It is rather quiet.", "The room echoes: go home."):
        assert reason_of(sentence) is None
