"""Disk faults, full disks and killed processes at each step of each change of stored voices."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kani.core.errors import NameTaken, UnknownVoice
from kani.core.voices.store import VoiceStore
from kani.core.voices.store_disk import AtomicFolder
from kani.core.voices.store_files import hashed_name
from tests.core.voices.stored import CHANGES, add, content, with_a_voice
from tests.running.sources import ROOT
from tests.support.patience import WITHIN_S

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the steps are POSIX's")

STEPS = ("mkdir", "open", "write", "fsync", "close", "replace", "unlink", "rmdir")


class Killed(BaseException):
    """Simulates the death of the process: nothing is executed or cleaned up afterwards."""


class Disk:
    """The operating system's calls; one of them goes wrong.

    how: "fails" by an I/O error; "full": what takes room fails from there on; "dies" there, a write half
    done. steps: what was called, in order.
    """

    def __init__(self, how: str, at: int) -> None:
        self.steps: list[str] = []
        self.went_wrong = False
        self._how, self._at = how, at
        self._real = {step: getattr(os, step) for step in STEPS}
        self._open: set[int] = set()

    @contextmanager
    def in_use(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with monkeypatch.context() as patch:
            for step in STEPS:
                patch.setattr(os, step, self._wrapped(step))
            yield
        for descriptor in self._open:  # as the end of a process does
            os.close(descriptor)

    def _wrapped(self, step: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if step == "open" and arguments[1] & os.O_NONBLOCK:
                return self._real[step](*arguments, **named)  # to read: no step of a change
            if self._how == "dies" and self.went_wrong:
                raise Killed
            self.steps.append(step)
            if len(self.steps) > self._at and not (self._how == "fails" and self.went_wrong):
                self._go_wrong(step, arguments)
            result = self._real[step](*arguments, **named)
            if step == "open":
                self._open.add(result)
            if step == "close":
                self._open.discard(arguments[0])
            return result

        return call

    def _go_wrong(self, step: str, arguments: tuple[Any, ...]) -> None:
        makes = step in ("mkdir", "write") or (step == "open" and not Path(arguments[0]).exists())
        if self._how == "full" and not makes:
            return
        self.went_wrong = True
        if step == "write" and len(arguments[1]) > 1:
            self._real["write"](arguments[0], arguments[1][: len(arguments[1]) // 2])
        if step == "close":
            self._real["close"](arguments[0])  # it is closed all the same
            self._open.discard(arguments[0])
        if self._how == "dies":
            raise Killed
        number = errno.ENOSPC if self._how == "full" else errno.EIO
        raise OSError(number, os.strerror(number))


CHANGES_ON_DISK = {name: (with_a_voice, act) for name, act in CHANGES.items()} | {
    "first": (lambda store: None, add),
    "first embedding": (add, CHANGES["embedding"]),
}


def assert_no_leftovers(folder: Path) -> None:
    voices = folder / "voices"
    if not voices.exists():
        return
    expected = {"lock", "version", *(hashed_name(voice.name) for voice in VoiceStore(folder).list())}
    assert {path.name for path in voices.iterdir()} <= expected
    files = {"recording", "voice.json", "consent", hashed_name("kokoro") + ".embedding.json"}
    assert {path.name for path in voices.glob("*/*")} <= files


# A lock's finaliser, which a dead process does not run, meets the death, too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["fails", "full", "dies"])
@pytest.mark.parametrize("change", CHANGES_ON_DISK)
def test_failed_change_leaves_old_or_new_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, change: str, how: str
) -> None:
    prepare, act = CHANGES_ON_DISK[change]
    prepare(VoiceStore(tmp_path / "before"))
    before = content(VoiceStore(tmp_path / "before"))
    if not before:
        (tmp_path / "before").mkdir()
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    act(VoiceStore(tmp_path / "after"))
    after = content(VoiceStore(tmp_path / "after"))
    assert before != after
    for at in range(1000):
        folder = tmp_path / str(at)
        shutil.copytree(tmp_path / "before", folder)
        store = VoiceStore(folder)
        disk = Disk(how, at)
        done = True
        with disk.in_use(monkeypatch):
            try:
                act(store)
            except (OSError, Killed):
                done = False
        found = content(VoiceStore(folder))
        assert found == after if done else found in (before, after), f"step {at}: {disk.steps}"
        assert_no_leftovers(folder)
        again = VoiceStore(folder)
        try:
            act(again)
        except (NameTaken, UnknownVoice):
            assert found == after
        assert content(VoiceStore(folder)) == after
        if not disk.went_wrong:
            break
        shutil.rmtree(folder)
    assert not disk.went_wrong
    assert "skipping" not in caplog.text


def test_voice_can_be_deleted_on_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_a_voice(VoiceStore(tmp_path))
    with Disk("full", 0).in_use(monkeypatch):
        store = VoiceStore(tmp_path)
        with pytest.raises(OSError, match="No space"):
            add(store, "eva")
        store.delete("ana")
    assert content(VoiceStore(tmp_path)) == {}


@pytest.mark.parametrize("change", ["first", "add", "rename", "embedding"])
def test_finished_change_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    prepare, act = CHANGES_ON_DISK[change]
    prepare(VoiceStore(tmp_path))
    disk = Disk("fails", 10**6)
    with disk.in_use(monkeypatch):
        act(VoiceStore(tmp_path))
    synced = True
    for step in disk.steps:
        if step in ("write", "mkdir", "replace"):
            assert synced or step != "replace"
            synced = False
        elif step == "fsync":
            synced = True
    assert synced and disk.steps.count("replace") >= 1


def test_lock_is_waited_for_and_the_wait_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = VoiceStore(tmp_path)
    with ThreadPoolExecutor(1) as threads:
        with AtomicFolder(tmp_path / "voices").locked():
            added = threads.submit(add, store)
            assert not wait([added], 0.1).done
        ana = added.result()
    monkeypatch.setattr("kani.core.voices.store_disk.LOCK_TIMEOUT_S", 0.05)
    with AtomicFolder(tmp_path / "voices").locked():
        assert store.list() == [ana] and store.get("ana") == ana
        with pytest.raises(TimeoutError, match="other writers"):
            add(store, "eva")
        assert VoiceStore(tmp_path).list() == [ana]
    assert add(store, "eva") in store.list()


HOLDER = """
import sys, threading
from pathlib import Path
from kani.core.voices.store_disk import AtomicFolder

with AtomicFolder(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    threading.Event().wait()
"""


@pytest.mark.server
def test_lock_is_held_against_other_processes_and_ends_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VoiceStore(tmp_path)
    add(store)
    monkeypatch.setattr("kani.core.voices.store_disk.LOCK_TIMEOUT_S", 0.05)
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "voices")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
            with pytest.raises(TimeoutError, match="other writers"):
                add(store, "eva")
        finally:
            holder.kill()
            holder.wait(WITHIN_S)
    assert add(store, "eva") in store.list()
