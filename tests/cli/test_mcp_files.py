"""Files that an agent names: which folders count, and files that never answer."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kani.cli.mcp import files
from kani.cli.mcp.files import MAX_GIVEN_UP, MAX_ROOTS, FileRefused, Files, allowed, folders
from kani.core.audio.pcm import wav
from kani.library.asynchronous import AsyncRecognizer
from tests.conftest import ROOT
from tests.support.patience import WITHIN_S, happens, until


def refusal(addresses: list[str] | None, own: list[Path] | None = None) -> str:
    with pytest.raises(FileRefused) as refused:
        folders(addresses, own)
    return str(refused.value)


def test_roots_name_folders_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    given = ["https://example.org/", "file://other/x", (tmp_path / "link").as_uri()]
    assert folders(given) == [tmp_path]
    assert "names no folders" in refusal(None) and "names no folders" in refusal([])
    assert f"{MAX_ROOTS} folders (roots), not 50000" in refusal(["file:///"] * 50_000)
    for odd in (str(tmp_path), "tmp", "", "https://example.org/", "file://[", "file:///a%00b"):
        assert "the client's root " in refusal([odd]) and len(refusal([odd])) < 300


def test_roots_only_narrow_the_folders_of_the_operator(tmp_path: Path) -> None:
    served = tmp_path / "served"
    inner, outside = served / "inner", tmp_path / "outside"
    for folder in (inner, outside):
        folder.mkdir(parents=True)
    assert folders(None, [served]) == [served]
    assert folders([inner.as_uri(), outside.as_uri()], [served]) == [inner]
    assert folders(["file:///"], [served, outside]) == [served, outside]
    assert "outside of the folders of --folder" in refusal([outside.as_uri()], [served])
    assert "names no folders" in refusal([], [served])
    for addresses in (None, ["file:///"]):
        assert "--folder FOLDER" in refusal(addresses, [])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\0b", "4096 characters"),
        ("a" * 5000, "4096 characters"),
        ("A" * 300 + ".wav", "File name too long"),
        ("~nobody-here/a", "home directory"),
        ("../a.wav", "outside of the folders"),
        ("/etc/passwd", "outside of the folders"),
        (".", "is no file"),
    ],
)
def test_wrong_names_are_refused_with_a_reason(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason) as refused:
        allowed(name, [tmp_path])
    assert len(str(refused.value)) < 400


class Hung(io.BytesIO):
    """A file of a mount that hangs once some of it was read, until the mount answers again."""

    def __init__(self, answers: threading.Event) -> None:
        super().__init__(wav(np.zeros(200_000, np.float32), 16_000))
        self._answers = answers

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= files.READ_BYTES:
            self._answers.wait()
        return super().read(size)


@pytest.fixture
def hung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Every file hangs; the event has them answer."""
    answers = threading.Event()
    monkeypatch.setattr(files, "ANSWER_S", 0.1)
    monkeypatch.setattr(files.Files, "_open_to_read", lambda *_: (Hung(answers), 400_044))
    yield answers
    answers.set()
    until(lambda: not files._given_up)


async def test_a_file_that_stops_answering_is_given_up(tmp_path: Path, hung: threading.Event) -> None:
    async with AsyncRecognizer("auto") as recognizer:
        for _ in range(3):
            recording = await Files(None, [tmp_path.as_uri()]).read("a.wav")
            with pytest.raises(FileRefused, match=r"no answer in 0.1 s"):
                await asyncio.wait_for(recognizer.transcribe(recording), WITHIN_S)
    assert files._given_up


async def test_calls_that_hang_are_bounded(tmp_path: Path, hung: threading.Event) -> None:
    named = Files(None, [tmp_path.as_uri()])
    for _ in range(MAX_GIVEN_UP):
        recording = await named.read("a.wav")
        with pytest.raises(FileRefused, match="no answer"):
            await asyncio.to_thread(recording.read)
    with pytest.raises(FileRefused, match="have not returned"):
        await named.find("a.wav")
    hung.set()
    await happens(lambda: not files._given_up)
    assert await named.find("a.wav") == tmp_path / "a.wav"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux'")
@pytest.mark.parametrize("name", ["kmsg", "self/status", "self/mem"])
async def test_files_of_the_kernel_are_refused(name: str) -> None:
    with pytest.raises(FileRefused, match=r"is empty|ermission"):
        await Files(None, ["file:///proc"]).read(name)


async def test_recordings_are_read_from_any_place(tmp_path: Path) -> None:
    content = np.arange(100_000, dtype=np.uint16).tobytes()
    (tmp_path / "a.wav").write_bytes(content)
    with await Files(None, [tmp_path.as_uri()]).read("a.wav") as file:
        for at in (150_000, 0, 70_001, 199_999, 300_000):
            assert file.seek(at) == file.tell() == at
            assert file.read(100) == content[at : at + 100]
        assert file.seek(-3, io.SEEK_END) == len(content) - 3
        assert file.read() == content[-3:]


def test_a_process_ends_although_a_file_hangs() -> None:
    program = (
        "import asyncio, threading\n"
        "from kani.cli.mcp import files\n"
        "try:\n    asyncio.run(files._in_time(threading.Event().wait, 0.1))\n"
        "except files.FileRefused as error:\n    print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=True,
    )
    assert ended.stdout.startswith("file: no answer in 0.1 s")
