"""Stores of other versions: read, or refused with the cure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kani.core.errors import StoreUnavailable
from kani.core.voices.store import StoredVoice, VoiceStore
from kani.core.voices.store_files import hashed_name
from tests.core.voices.test_store import CONSENT, add, recording
from tests.support import permissions


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """A store as written by version 1, without a version file."""
    folder = tmp_path / "voices" / hashed_name("eva")
    folder.mkdir(parents=True)
    (folder / "recording").write_bytes(recording())
    facts = {
        "name": "eva",
        "language": "es",
        "description": "",
        "consent": CONSENT,
        "consent_at": "2026-01-02T03:04:05+00:00",
        "origin": "voices",
        "sha256": "0" * 64,
        "size": len(recording()),
        "duration_s": 3.5,
        "sample_rate": 8000,
    }
    (folder / "voice.json").write_text(json.dumps(facts, indent=2))
    return tmp_path


def test_version_1_is_read(first_version: Path) -> None:
    store = VoiceStore(first_version)
    eva = store.get("eva")
    assert (eva.consent, eva.has_consent_recording, eva.advice, eva.renamed_at) == (CONSENT, False, (), None)
    assert store.list() == [eva] and store.embeddings(store.get("eva")) == ()
    assert [path.name for path in (first_version / "voices").iterdir()] == [hashed_name("eva")]


def test_first_change_upgrades_version(first_version: Path) -> None:
    store = VoiceStore(first_version)
    assert store.rename("eva", "ana").name == "ana"
    assert (first_version / "voices" / "version").read_text() == "2\n"
    assert [voice.name for voice in VoiceStore(first_version).list()] == ["ana"]


def test_version_1_voice_can_be_deleted(first_version: Path) -> None:
    VoiceStore(first_version).delete("eva")
    assert not (first_version / "voices" / hashed_name("eva")).exists()


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (b"3\n", "newer version .*format 3; this one reads up to 2.*: start that one, or set KANI_DATA_DIR"),
        (b"two", "damaged: .*should say 2; restore it"),
        (b"", "damaged"),
        (b"9" * 5000, "damaged"),
    ],
)
def test_unreadable_version_is_refused_with_cure(tmp_path: Path, version: bytes, reason: str) -> None:
    store = VoiceStore(tmp_path)
    eva = add(store, "eva")
    (tmp_path / "voices" / "version").write_bytes(version)
    with pytest.raises(StoreUnavailable, match=reason):
        VoiceStore(tmp_path)
    with pytest.raises(StoreUnavailable, match=reason):
        add(store)
    with pytest.raises(StoreUnavailable, match=reason):
        store.rename("eva", "ana")
    assert store.list() == [eva]
    assert (tmp_path / "voices" / "version").read_bytes() == version


def test_folder_without_permission_is_refused(tmp_path: Path) -> None:
    add(VoiceStore(tmp_path))
    (tmp_path / "voices").chmod(0)
    try:
        with permissions.binding(), pytest.raises(StoreUnavailable, match="Permission denied"):
            VoiceStore(tmp_path)
    finally:
        (tmp_path / "voices").chmod(0o700)


def test_metadata_is_plain_json(tmp_path: Path) -> None:
    kept: StoredVoice = add(VoiceStore(tmp_path), "ana", language="es")
    facts = json.loads((tmp_path / "voices" / hashed_name("ana") / "voice.json").read_text())
    assert (facts["name"], facts["consent"], facts["consent_at"]) == ("ana", CONSENT, kept.consent_at)
