"""The programs where nothing reads their output any more, as in ``… | head -1``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kani.cli import broken_pipe
from tests.conftest import ROOT
from tests.support.patience import WITHIN_S


def assert_ends_quietly(command: list[str]) -> None:
    """Assert that a program ends without a word where nothing reads its output."""
    command = [sys.executable, *command]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None and program.stderr is not None
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait(WITHIN_S) == broken_pipe.READER_GONE


@pytest.mark.parametrize(
    "command", [["test_websocket.py"], ["websocket_client.py", "--voices"], ["-m", "kani", "voices"]]
)
def test_program_ends_quietly_without_its_reader(command: list[str], espeak_server: Any) -> None:
    assert_ends_quietly([*command, "--server", espeak_server.url])


def test_help_ends_quietly_without_a_reader() -> None:
    assert_ends_quietly(["-m", "kani", "--help"])


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors are closed by a shell")
@pytest.mark.parametrize("program", ["-m kani --help", "websocket_client.py --help"])
def test_program_runs_without_a_standard_output(program: str) -> None:
    command = ["sh", "-c", f'exec "$0" {program} >&-', sys.executable]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=WITHIN_S, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_of_another_file_is_reported(tmp_path: Path) -> None:
    output = tmp_path / "speech.wav"
    os.mkfifo(output)
    text = "And on it goes. " * 60  # more than a pipe holds
    command = [sys.executable, "-m", "kani", "say", text, "--engine", "espeak", "-o", str(output)]
    with subprocess.Popen(["head", "-c", "1", str(output)], stdout=subprocess.DEVNULL):
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=WITHIN_S, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"kani-tts say: [Errno 32] Broken pipe\n")


def test_broken_pipe_of_a_socket_is_raised() -> None:
    with pytest.raises(BrokenPipeError), broken_pipe.tolerated():
        raise BrokenPipeError
