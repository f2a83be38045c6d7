"""The programs where nothing reads their output any more, as in ``… | head -1``."""

from __future__ import annotations

import subprocess
import sys
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


def test_broken_pipe_of_a_socket_is_raised() -> None:
    with pytest.raises(BrokenPipeError), broken_pipe.tolerated():
        raise BrokenPipeError
