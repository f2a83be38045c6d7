"""Files of folders that others may write: pipes, devices and gigabytes in their place hold nobody up."""

import asyncio
import logging
import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kani.books.work_folder import WorkFolder
from kani.composition.settings import Settings, SettingsError, load
from kani.core.errors import StoreUnavailable
from kani.core.voices.storage.folder import FolderBackend
from kani.core.voices.store import VoiceStore
from kani.core.voices.store_files import StoredVoice, hashed_name
from kani.protocols.elevenlabs.relay.alignment_files import RelayLogs, SentUtterance
from kani.runtime.errors import CheckpointError
from kani.runtime.packages.checkpoint import read_json
from kani.server import logs
from kani.server.health import StartTime
from kani.server.network.listeners import server_context
from kani_text.foreign.files import open_regular, read_regular, write_private
from kani_text.lexicon_file import LexiconFile
from tests.core.voices import stored

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")

LONG = 3 << 30
"""Bytes of a file that takes no room on the disk; read whole, it would take them in memory."""

MOST_KIB = 64 << 10
GUARD_S = 30.0
VOICE = f"voices/{hashed_name('ana')}"
EMBEDDING = f"{VOICE}/{hashed_name('kokoro')}.embedding.json"


def long_file(path: Path) -> None:
    path.touch()
    os.truncate(path, LONG)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "3 GiB": long_file,
    "device": endless,
}


def in_time(call: Callable[[], object], pipe: Path) -> object:
    """Return what a call returns or raises; fail if it waits for the other end of a pipe."""
    got: list[object] = []

    def run() -> None:
        try:
            got.append(call())
        except Exception as error:
            got.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(GUARD_S)
    if thread.is_alive():
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))  # both of its ends: the thread goes on
        pytest.fail("waits for the other end of a pipe")
    return got[0]


def refreshed(folder: Path) -> object:
    lexicon = LexiconFile(folder / "words.txt")
    asyncio.run(lexicon.refresh())
    return lexicon.for_language("es").match("a", 0)


READERS: dict[str, tuple[Callable[[Path, StoredVoice], object], object]] = {
    f"{VOICE}/voice.json": (lambda folder, ana: VoiceStore(folder).list(), []),
    f"{VOICE}/recording": (lambda folder, ana: VoiceStore(folder).recording(ana), OSError),
    f"{VOICE}/consent": (lambda folder, ana: FolderBackend(folder).consent_recording(ana), OSError),
    EMBEDDING: (lambda folder, ana: VoiceStore(folder).embeddings(ana), ()),
    "voices/version": (lambda folder, ana: VoiceStore(folder), StoreUnavailable),
    "words.txt": (lambda folder, ana: refreshed(folder), None),
    ".env": (lambda folder, ana: load({}, {}, folder / ".env"), SettingsError),
    "cert.pem": (lambda folder, ana: server_context(folder / "cert.pem", folder / "key.pem"), SettingsError),
    "start-seconds.json": (lambda folder, ana: StartTime(folder, "espeak").left_s(), None),
    "book.parts/a.json": (lambda folder, ana: WorkFolder(folder / "book").find("a"), None),
    "config.json": (lambda folder, ana: read_json(folder / "config.json"), CheckpointError),
}
"""Calls by the file that they read, and what they return or raise where it is none."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_not_read(tmp_path: Path, name: str, kind: str) -> None:
    store = VoiceStore(tmp_path)
    stored.with_a_voice(store)
    ana = store.get("ana")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    KINDS[kind](path)
    read, expected = READERS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = in_time(lambda: read(tmp_path, ana), path)
    if name == ".env":  # a device stands for no file
        expected = SettingsError if kind in ("pipe", "3 GiB") else Settings
    assert isinstance(found, expected) if isinstance(expected, type) else found == expected, found
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KIB


@pytest.mark.parametrize("kind", KINDS)
def test_a_consent_that_cannot_be_read_is_skipped(tmp_path: Path, kind: str) -> None:
    store = VoiceStore(tmp_path)
    kept, broken = (store.consents.add(name, "en", stored.SPOKEN) for name in ("kept", "broken"))
    path = tmp_path / "voice_consents" / broken.id / "consent.json"
    path.unlink()
    KINDS[kind](path)
    assert in_time(store.consents.list, path) == [kept]
    path.rmdir() if kind == "folder" else path.unlink()
    path.write_text("{")
    assert store.consents.list() == [kept]


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_written(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "alignment/alignment.new"
    path.parent.mkdir()
    KINDS[kind](path)
    in_time(lambda: RelayLogs(tmp_path).write(SentUtterance("a", [0], [1])), path)
    assert "writing the relay's log files failed" in caplog.text


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    (tmp_path / "file").symlink_to(tmp_path / "other")
    with pytest.raises(OSError):
        write_private(tmp_path / "file", b"lost")
    assert (tmp_path / "other").read_text() == "kept"


def test_a_log_is_not_written_to_a_pipe(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    request.addfinalizer(lambda: (setattr(root, "handlers", before), root.setLevel(level)))
    os.mkfifo(tmp_path / "log")
    assert in_time(lambda: logs.configure("INFO", "text", tmp_path / "log"), tmp_path / "log") is None


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    (tmp_path / "link").symlink_to(path)
    assert read_regular(tmp_path / "link", 100_000) == bytes(100_000)
    with pytest.raises(OSError, match="longer than 99999 bytes"):
        read_regular(path, 99_999)
    # Files of the kernel's have no length.
    assert read_regular(Path("/proc/self/stat"), 10_000).startswith(str(os.getpid()).encode())
    with pytest.raises(OSError, match="longer than 10 bytes"):
        read_regular(Path("/proc/self/stat"), 10)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
