"""Kept voices: what is accepted, what is on disk, and what is left after deletion."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speech.audio import wav
from speech.errors import InvalidRequest, UnknownVoice, UnsupportedLanguage
from speech.voice_store import KeptVoice, VoiceStore

CONSENT = "I, Ana, agree to my voice being kept and used by this server."


def recording(seconds: float = 3.5, level: float = 0.2) -> bytes:
    """A WAV of some length."""
    tone = level * np.sin(np.arange(round(seconds * 8000)) * 0.3)
    return wav(tone.astype(np.float32), 8000)


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    """An empty store."""
    return VoiceStore(tmp_path / "data")


def add(store: VoiceStore, name: str = "ana", **changes: object) -> KeptVoice:
    """Keep a voice that is all right but for the changes."""
    given = {"recording": recording(), "consent": CONSENT, "origin": "test", **changes}
    return store.add(name, **given)  # type: ignore[arg-type]


def files_below(folder: Path) -> list[Path]:
    """All files, hidden ones too."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_voice_is_kept_with_its_consent(store: VoiceStore, tmp_path: Path) -> None:
    """What is kept is the recording as it came, and who agreed to what, when, over which protocol."""
    data = recording()
    kept = add(store, "Ana_1", recording=data, language="spanish", description="warm")
    assert kept.id == "custom:Ana_1"
    assert (kept.language, kept.description, kept.consent, kept.origin) == ("es", "warm", CONSENT, "test")
    assert kept.sha256 == hashlib.sha256(data).hexdigest() and kept.size == len(data)
    assert (kept.duration_s, kept.sample_rate) == (3.5, 8000)
    assert datetime.now(UTC) - datetime.fromisoformat(kept.consent_at) < timedelta(minutes=1)
    again = VoiceStore(tmp_path / "data")
    assert again.get("Ana_1") == again.get("custom:Ana_1") == kept
    assert again.sample("Ana_1") == data
    assert again.list() == [kept]


def test_nothing_is_on_disk_before_the_first_voice(store: VoiceStore, tmp_path: Path) -> None:
    """Looking makes no folder."""
    assert store.list() == []
    with pytest.raises(UnknownVoice):
        store.get("ana")
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX's")
def test_only_the_owner_can_read(store: VoiceStore, tmp_path: Path) -> None:
    """Folders and files are closed to group and others."""
    add(store)
    voices = tmp_path / "data" / "voices"
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in [voices, *voices.rglob("*")])


def test_deletion_removes_every_copy(store: VoiceStore, tmp_path: Path) -> None:
    """No byte of the recording is left, and the name is free again."""
    add(store)
    add(store, "eva")
    store.delete("custom:ana")
    with pytest.raises(UnknownVoice):
        store.get("ana")
    with pytest.raises(UnknownVoice):
        store.sample("ana")
    with pytest.raises(UnknownVoice):
        store.delete("ana")
    assert len(files_below(tmp_path)) == 2
    store.delete("eva")
    assert files_below(tmp_path) == []
    add(store)
    assert [voice.name for voice in store.list()] == ["ana"]


@pytest.mark.parametrize(
    "name", ["", "a b", "../ana", "a/b", "a\\b", ".", "..", "a\0", "a" * 65, "a\n", "x:y", "🎉", "\ud800"]
)
def test_a_bad_name_is_refused(store: VoiceStore, tmp_path: Path, name: str) -> None:
    """Only letters, digits, _ and - make a name; nothing is written."""
    with pytest.raises(InvalidRequest) as caught:
        add(store, name)
    assert caught.value.field == "name"
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("name", ["a", "José", "声", "CON", "aux", "-", "_", "A" * 64, "nul"])
def test_a_good_name_is_kept(store: VoiceStore, name: str) -> None:
    """Letters of any script, and names that some systems reserve for devices, are fine."""
    assert add(store, name).name == name
    assert store.get(name).name == name


def test_one_name_written_two_ways_is_one_voice(store: VoiceStore) -> None:
    """Composed and decomposed accents are the same name; another case is another."""
    add(store, "Jose\u0301")
    assert store.get("José").name == "José"
    add(store, "josé")
    assert [voice.name for voice in store.list()] == ["José", "josé"]


def test_a_name_is_taken_once(store: VoiceStore) -> None:
    """A second voice of the name is refused, and the first stays as it was."""
    first = add(store)
    with pytest.raises(InvalidRequest, match=r"name: .*already"):
        add(store, recording=recording(4.0))
    assert store.get("ana") == first


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"consent": ""}, "consent"),
        ({"consent": " \n"}, "consent"),
        ({"consent": "x" * 2001}, "consent"),
        ({"consent": "yes\0"}, "consent"),
        ({"description": "\ud800"}, "description"),
        ({"recording": b""}, "audio"),
        ({"recording": b"hello"}, "audio"),
        ({"recording": recording(2.9)}, "audio"),
        ({"recording": recording(60.1)}, "audio"),
        ({"recording": bytes(10 * 1024 * 1024 + 1)}, "audio"),
        ({"language": "klingonish"}, "language"),
    ],
)
def test_what_is_wrong_is_named_and_not_kept(
    store: VoiceStore, tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    """A refusal names the field; nothing is written."""
    with pytest.raises(InvalidRequest) as caught:
        add(store, **changes)
    assert caught.value.field == field
    assert files_below(tmp_path) == []
    assert isinstance(caught.value, UnsupportedLanguage) == (field == "language")


def test_the_number_of_voices_is_limited(store: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than the limit is refused until one is deleted."""
    monkeypatch.setattr("speech.voice_store.MAX_VOICES", 2)
    add(store, "a")
    add(store, "b")
    with pytest.raises(InvalidRequest, match="no more than 2"):
        add(store, "c")
    store.delete("a")
    add(store, "c")


def test_a_broken_folder_is_left_out_and_logged(
    store: VoiceStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever happened to one voice's files, the others are there."""
    names = ["cut", "json", "field", "moved", "good", "gone"]
    folders = {}
    voices = tmp_path / "data" / "voices"
    for name in names:
        before = set(voices.iterdir()) if voices.exists() else set()
        add(store, name)
        folders[name] = (set(voices.iterdir()) - before).pop()
    (folders["cut"] / "recording").write_bytes(b"RIFF")
    (folders["json"] / "voice.json").write_text("{")
    facts = json.loads((folders["field"] / "voice.json").read_text())
    (folders["field"] / "voice.json").write_text(json.dumps(facts | {"unknown": 1}))
    folders["moved"].rename(voices / ("0" * 32))
    (folders["gone"] / "recording").unlink()
    (voices / "stray.txt").write_text("not a voice")
    with caplog.at_level(logging.WARNING):
        assert [voice.name for voice in store.list()] == ["good"]
    assert len(caplog.records) == 6
    for name in names[:4]:
        with pytest.raises(UnknownVoice):
            store.get(name)


def test_what_an_interrupted_writer_left_is_removed(store: VoiceStore, tmp_path: Path) -> None:
    """A half-written voice is never listed, and goes with the next change once it is old."""
    add(store)
    left = tmp_path / "data" / "voices" / ".left"
    left.mkdir()
    (left / "recording").write_bytes(b"half")
    assert [voice.name for voice in store.list()] == ["ana"]
    add(store, "eva")
    assert left.exists()
    old = time.time() - 3600
    os.utime(left, (old, old))
    store.delete("eva")
    assert not left.exists()


def test_a_name_is_won_by_one_of_many(store: VoiceStore) -> None:
    """Of several that add the same name at once, one succeeds."""

    def attempt(number: int) -> bool:
        try:
            add(store, recording=recording(3.0 + number / 10))
        except InvalidRequest:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    assert len(store.list()) == 1


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=70))
def test_no_name_leaves_the_folder(store: VoiceStore, tmp_path: Path, name: str) -> None:
    """Whatever the name, files appear only two levels below the folder, and asking is safe."""
    try:
        store.delete(add(store, name).id)
    except InvalidRequest as error:
        assert error.field == "name"
    with pytest.raises(UnknownVoice):
        store.get(name)
    assert files_below(tmp_path) == []
