"""The programs, all of them: an output that nobody reads, Ctrl+C, and wrong options of speech commands."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kani.cli import broken_pipe, interrupt, speech_commands
from kani.core.service import SpeechService
from tests.cli.conftest import Run
from tests.conftest import ROOT, ServerProcess
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
def test_program_ends_quietly_without_its_reader(command: list[str], espeak_server: ServerProcess) -> None:
    assert_ends_quietly([*command, "--server", espeak_server.url])


def test_help_ends_quietly_without_a_reader() -> None:
    assert_ends_quietly(["-m", "kani", "--help"])


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors are closed by a shell")
@pytest.mark.parametrize("program", ["-m kani --help", "websocket_client.py --help"])
def test_program_runs_without_a_standard_output(program: str) -> None:
    command = ["sh", "-c", f'exec "$0" {program} >&-', sys.executable]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=WITHIN_S, check=False)
    assert ended.returncode == 0, ended.stderr
    wrong = subprocess.run([sys.executable, "-m", "kani", "sing"], cwd=ROOT, capture_output=True, check=False)
    assert b"python -m kani: 'sing' is no command; python -m kani --help" in wrong.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_of_another_file_is_reported(tmp_path: Path) -> None:
    output = tmp_path / "speech.wav"
    os.mkfifo(output)
    text = "And on it goes. " * 60  # more than a pipe holds
    command = [sys.executable, "-m", "kani", "say", text, "--engine", "espeak", "-o", str(output)]
    with subprocess.Popen(["head", "-c", "1", str(output)], stdout=subprocess.DEVNULL):
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=WITHIN_S, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"python -m kani say: [Errno 32] Broken pipe\n")
    # And so is that of a socket.
    with pytest.raises(BrokenPipeError), broken_pipe.tolerated():
        raise BrokenPipeError


def test_work_is_cancelled_by_the_loop_and_not_inside_the_signal_handler() -> None:
    """asyncio.run would cancel it amid any step of the loop's own code, which then logs a traceback.

    A second interrupt raises at once.
    """
    reached: list[object] = []

    async def stubborn() -> None:
        task = asyncio.current_task()
        assert task is not None
        signal.raise_signal(signal.SIGINT)
        reached.append(task.cancelling())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reached.append(task.cancelling())
        signal.raise_signal(signal.SIGINT)
        reached.append("went on")

    with pytest.raises(KeyboardInterrupt):
        interrupt.run(stubborn())
    assert reached == [0, 1]


def test_run_returns_and_raises_as_asyncio_does() -> None:
    before = signal.getsignal(signal.SIGINT)

    async def interrupted(times: int) -> None:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()
        raise asyncio.CancelledError

    assert interrupt.run(asyncio.sleep(0, "done")) == "done"
    for times, error in ((0, asyncio.CancelledError), (1, KeyboardInterrupt)):
        with pytest.raises(error):
            interrupt.run(interrupted(times))
    assert signal.getsignal(signal.SIGINT) is before


def test_player_that_is_missing_is_told_before_a_voice_loads(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.delattr(SpeechService, "start")
    done = run("hi", main=lambda arguments: speech_commands.main("say", arguments), PATH=str(tmp_path))
    assert "no player found" in done.failure
