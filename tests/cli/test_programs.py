"""What the programs share: an output that nobody reads, Ctrl+C, and wrong options of speech commands."""

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
    assert (ended.returncode, ended.stderr) == (1, b"kani-tts say: [Errno 32] Broken pipe\n")
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


WRONG = [
    ("say", "hi -o x.xyz", "x.xyz: the name has to end with one of .wav, .mp3"),
    ("say", "book.pdf -o x.m4b", "x.m4b: made of a book only, an existing file .epub, .txt"),
    ("say", "hi -o none/x.wav", "-o none/x.wav: there is no folder none"),
    ("say", "hi -o x.wav --voice nobody", "--voice: unknown voice 'nobody'"),
    ("say", "hi -o x.wav --language klingonish", "--language: unsupported language 'klingonish'"),
    ("say", "hi -o x.wav --speed 9", "--speed: must be between 0.25 and 4"),
    ("say", "hi -o x.wav --emotion furious", "--emotion: unknown emotion 'furious'"),
    ("say", "hi -o x.wav --reference none.wav", "none.wav: No such file or directory"),
    ("say", "hi -o x.wav --engine festival", "--engine='festival': has to be one of"),
    ("say", "hi -o x.wav --oice ef_dora", "unrecognized arguments: --oice ef_dora; did you mean --voice?"),
    ("say", "none.epub -o x.m4b", "none.epub: No such file or directory"),
    ("listen", "none.wav", "none.wav: No such file or directory"),
    ("listen", "none.wav -o x.doc", "x.doc: the name has to end with one of .txt, .srt, .vtt"),
    ("listen", "none.wav -o none/x.srt", "-o none/x.srt: there is no folder none"),
    ("listen", "none.wav --words -o x.srt", "--words is printed only: give it without -o"),
    ("listen", "none.wav --recognizer deaf", "--recognizer='deaf': has to be one of"),
    ("voices", "--engine festival", "--engine='festival': has to be one of"),
]


@pytest.mark.parametrize(("command", "options", "complaint"), WRONG)
def test_wrong_option_is_one_line_before_a_voice_loads(
    run: Run, command: str, options: str, complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(SpeechService, "start")
    done = run(*options.split(), main=lambda arguments: speech_commands.main(command, arguments))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"kani-tts {command}: {complaint}")
    assert not list(tmp_path.iterdir())


def test_player_that_is_missing_is_told_before_a_voice_loads(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.delattr(SpeechService, "start")
    done = run("hi", main=lambda arguments: speech_commands.main("say", arguments), PATH=str(tmp_path))
    assert "no player found" in done.failure
