"""`python websocket_client.py`: a text is spoken to a file or aloud; in this process, or as users run it."""

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import wave
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

import pytest

from kani.cli.client import server_address
from kani.cli.sound import WavOutput
from kani.core.audio.pcm import wav
from tests.cli.conftest import Run
from tests.conftest import ROOT, ServerProcess
from tests.page.firefox import launch
from tests.support.patience import WITHIN_S
from tests.support.programs import python

PROGRAM = [sys.executable, str(ROOT / "websocket_client.py")]
HELLO = "¡Hola! ¿Cómo estás?"
LONG = "Esta frase se repite para que haya mucho que decir, y nadie espera hasta el final. " * 40


def seconds(file: Path) -> float:
    """Length of a 22050 Hz mono WAV file in seconds, by its header, which must be right."""
    with wave.open(str(file)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (22050, 1, 2)
        frames = int(reader.getnframes())
        assert len(reader.readframes(frames)) == 2 * frames
    return frames / 22050


def test_wav_file_gets_its_length_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    output = WavOutput(path.open("wb"), 22_050)
    output.write(b"\1\0")
    output.write(b"\2\0\3\0")
    assert path.read_bytes()[40:44] == b"\xff" * 4
    output.close()
    assert path.read_bytes() == wav(b"\1\0\2\0\3\0", 22_050)


def test_text_is_spoken_in_its_language(ask: Run, tmp_path: Path) -> None:
    english = "Hello there, how are you today?"
    for text, options, by in (
        (english, "", "espeak:en-us, english"),
        (english, "--voice espeak:es", "espeak:es, english"),
        *(
            (text, "--voice espeak:en-gb-x-rp", "espeak:en-gb-x-rp, english")
            for text in ("Hello world", "OK")
        ),
        *((text, "", "espeak:es, spanish") for text in (HELLO, "OK")),
        ("Hello world", "--language german", "espeak:de, german"),
    ):
        done = ask(text, "-o", tmp_path / "speech.wav", *options.split())
        assert done.code == 0 and done.err.rstrip().endswith(f"by espeak, voice {by}"), (text, options)


@pytest.mark.parametrize("options", [[], ["--stream"]])
def test_writes_a_file(ask: Run, tmp_path: Path, options: list[str]) -> None:
    done = ask(HELLO, "-o", tmp_path / "hola.wav", *options)
    assert (done.code, done.out) == (0, ""), done.err
    assert seconds(tmp_path / "hola.wav") > 0.5
    assert "s of speech in" in done.err and "\r" not in done.err
    assert ("first audio after" in done.err) == bool(options)


@pytest.mark.parametrize("arguments", [["-"], []])
def test_standard_input_becomes_standard_output(espeak_server: ServerProcess, arguments: list[str]) -> None:
    command = [*PROGRAM, *arguments, "-o", "-", "--stream", "--server", espeak_server.url]
    done = subprocess.run(command, input=HELLO.encode(), capture_output=True, timeout=WITHIN_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout[:4] == b"RIFF" and struct.unpack("<I", done.stdout[40:44]) == (0xFFFFFFFF,)
    assert len(done.stdout) > 44 + 22050


def test_speed_and_length_are_those_that_are_asked_for(ask: Run, tmp_path: Path) -> None:
    def length(*options: str) -> float:
        done = ask(HELLO, "-o", tmp_path / "felt.wav", *options)
        assert done.code == 0, done.err
        return seconds(tmp_path / "felt.wav")

    assert length("--speed", "0.7") > 1.5 * length("--speed", "1.6")
    wanted = round(1.3 * length(), 2)
    assert length("--duration", str(wanted)) == pytest.approx(wanted, rel=0.02)
    assert length("--emotion", "sad:0.5,calm:0.5") and length("--emotion", "sad", "--strength", "0.5")


def test_refusal_is_one_line_and_writes_no_file(ask: Run, tmp_path: Path) -> None:
    for options, reason in {
        "--emotion nonsense": "--emotion: ",
        "--language nonsense": "--language: ",
        "--voice nonsense": "--voice: ",
        "--duration 60": "--duration: this text can be said in ",
        "--duration 2 --speed 1.5": "--duration: cannot be given together with a speed",
        "--emotion sad --strength 2": "--strength: must be between 0 and 1",
    }.items():
        done = ask(HELLO, "-o", tmp_path / "x.wav", *options.split())
        assert done.failure.startswith(f"error: {reason}"), options
    assert not list(tmp_path.iterdir())


def test_nearest_voice_is_reported(run: Run, ask: Run, server: ServerProcess, tmp_path: Path) -> None:
    reference, copy = tmp_path / "me.wav", tmp_path / "copy.wav"
    assert ask(LONG[:200], "-o", reference).code == 0
    done = ask(HELLO, "-o", copy, "--reference", reference)
    assert done.code == 0 and "not cloned" in done.err
    done = run(HELLO, "-o", copy, "--reference", reference, "--server", server.url)
    told = r"^nearest voice 0\.\d\d → 0\.\d\d( expected)?: near, not the same$"
    assert done.code == 0 and re.search(told, done.err, re.M), done.err


Players = Callable[..., Path]


@pytest.fixture
def players(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Players:
    """Leave no programs but players that do what a script says, and no sounddevice."""
    folder = tmp_path / "players"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "sounddevice", None)

    def add(name: str, script: str) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    return add


@pytest.mark.parametrize("options", [["--play"], ["--play", "--stream"], []])
def test_first_available_player_plays(ask: Run, tmp_path: Path, players: Players, options: list[str]) -> None:
    heard = tmp_path / "heard.wav"
    # A player takes as long as the sound.
    players("aplay", f"/bin/cat > {heard}; exec /bin/sleep 1")
    done = ask(HELLO, *options)
    assert done.code == 0, done.err
    assert heard.read_bytes()[:4] == b"RIFF" and len(heard.read_bytes()) > 44 + 22050


FFPLAY = "Failed to open file 'pipe:' or configure filtergraph"


@pytest.mark.parametrize(
    ("name", "script", "reason"),
    [
        ("aplay", "exit 3", "(exit code 3)"),
        ("aplay", "/bin/cat > /dev/null", "(it ended after 0."),
        (
            "ffplay",
            "/bin/cat > /dev/null; /bin/sleep 1; echo 'ALSA lib pcm.c: Unknown PCM default' >&2; "
            f'echo "{FFPLAY}" >&2',
            f"(no sound device: {FFPLAY})",
        ),
        ("paplay", "echo 'connection failed' >&2; exit 1", "(exit code 1: connection failed)"),
    ],
)
def test_a_player_that_plays_nothing_has_failed(
    ask: Run, players: Players, name: str, script: str, reason: str
) -> None:
    players(name, script)
    failure = ask(HELLO, "--play").failure
    assert failure.startswith(f"error: {name} could not play the sound {reason}")
    assert "write a file instead (-o)" in failure


def test_what_plays_is_named_where_nothing_does(
    ask: Run, players: Players, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "pip install sounddevice" in ask(HELLO, "--play").failure
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.syspath_prepend(tmp_path)
    failure = ask(HELLO).failure
    assert "libportaudio2" in failure and "pip install" not in failure


@pytest.mark.skipif(shutil.which("ffplay") is None, reason="there is no ffplay")
@pytest.mark.skipif(Path("/proc/asound/cards").exists(), reason="it would play on the sound card")
def test_ffplay_without_a_sound_card(ask: Run, tmp_path: Path) -> None:
    programs = only(tmp_path, "ffplay")
    nowhere = {"PULSE_SERVER": f"unix:{tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}
    failure = ask(HELLO, "--play", PATH=programs, **nowhere).failure
    assert "ffplay could not play the sound (" in failure and "ALSA lib" not in failure


@pytest.mark.skipif(bool(missing := launch.missing_sound()), reason=f"there is no {missing}")
@pytest.mark.parametrize("name", ["paplay", "ffplay"])
def test_a_real_player_plays(ask: Run, tmp_path: Path, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name}")
    silence = tmp_path / "silence.wav"
    silence.write_bytes(wav(bytes(44_100), 22_050))
    programs = only(tmp_path, name)
    with launch.sound_card(tmp_path, silence) as environment:
        own = {name: value for name, value in environment.items() if os.environ.get(name) != value}
        done = ask(HELLO, "--play", "--stream", PATH=programs, **own)
    assert (done.code, done.err.count("\n")) == (0, 1), done.err


def only(folder: Path, name: str) -> str:
    programs = folder / "programs"
    programs.mkdir()
    (programs / name).symlink_to(shutil.which(name) or "")
    return str(programs)


def test_addresses() -> None:
    addresses = {
        "localhost": "ws://localhost:8001",
        "speech.example": "ws://speech.example:8001",
        "ws://localhost": "ws://localhost:8001",
        "ws://[::1]": "ws://[::1]:8001",
        "http://localhost:8001": "ws://localhost:8001",
        "http://localhost:8001/": "ws://localhost:8001/",
        "https://speech.example": "wss://speech.example",
        "ws://speech.example/kani": "ws://speech.example/kani",
        "wss://localhost:9000": "wss://localhost:9000",
    }
    assert {given: server_address(given) for given in addresses} == addresses
    with pytest.raises(ArgumentTypeError, match="'http:/bad' is no address"):
        server_address("http:/bad")


def test_another_server_and_a_file_that_cannot_be_written(
    run: Run, espeak_server: ServerProcess, tmp_path: Path, ask: Run
) -> None:
    file = tmp_path / "x.wav"
    secure = run(HELLO, "-o", file, "--server", espeak_server.url.replace("ws://", "wss://")).failure
    assert "the server speaks no TLS" in secure and "start the server" not in secure
    other = run(HELLO, "-o", file, "--server", f"{espeak_server.url}/tts").failure
    assert "does not speak Kani's protocol" in other and "8001" in other
    assert "cannot write the speech" in ask(HELLO, "-o", tmp_path).failure


@pytest.mark.server
def test_no_server(closed_port: int, tmp_path: Path) -> None:
    options = ("-o", tmp_path / "hola.wav", "--server", f"localhost:{closed_port}")
    done = python("websocket_client.py", HELLO, *options, code=1)
    assert done.stderr.count("\n") == 1
    assert "python start_websocket_server.py" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "text", "complaint"),
    [
        (["Hola", "-o", "no/such/folder/x.wav"], b"", "there is no folder no/such/folder"),
        (["Hola", "-o", "x.MP3"], b"", "-o x.MP3: this writes WAV files"),
        (["-o", "x.wav"], b"  \n", "no text"),
        (["-o", "x.wav"], b"\xff\xfe", "not UTF-8"),
        (["Hola", "-o", "x.wav", "--speed", "fast"], b"", "--speed"),
        (["Hola", "-o", "x.wav", "--server", "ftp://localhost:8001"], b"", "--server"),
        (["Hola", "-o", "x.wav", "--server", "localhost:port"], b"", "--server"),
        (["Hola", "-o", "x.wav", "--reference", "no such file"], b"", "reference"),
        (["Hola", "--voices"], b"", "without speaking"),
        (["--delete-voice", "ana", "-o", "x.wav"], b"", "without speaking"),
        (["--voices", "--delete-voice", "ana"], b"", "not allowed with"),
        (["--add-voice", "ana", "--consent", "mine"], b"", "--reference FILE"),
        (["--add-voice", "ana", "--reference", __file__], b"", "--consent WORDS"),
        (["--add-voice", "ana", "--reference", __file__, "--consent", ""], b"", "--consent WORDS"),
        (["--add-voice", "ana", "--reference", "none", "--consent", "me"], b"", "cannot read the reference"),
        (["Hola", "-o", "x.wav", "--consent", "mine"], b"", "--consent belongs to --add-voice"),
    ],
)
def test_wrong_usage(run: Run, arguments: list[str], text: bytes, complaint: str) -> None:
    done = run(*arguments, text=text)
    assert done.code == 2 and complaint in done.err


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals on this system")
@pytest.mark.parametrize("options", [[], ["--stream"]])
def test_progress_bar_on_a_terminal(espeak_server: ServerProcess, tmp_path: Path, options: list[str]) -> None:
    terminal, side = os.openpty()
    command = [*PROGRAM, HELLO, "-o", tmp_path / "hola.wav", "--server", espeak_server.url, *options]
    done = subprocess.run(command, stderr=side, timeout=WITHIN_S, check=False)
    os.close(side)
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        try:
            while piece := screen.read(65536):
                shown += piece
        except OSError:  # Linux says EIO at the end of a terminal
            pass
    assert done.returncode == 0
    last = shown.decode().rsplit("\r\x1b[K", 1)[0].rsplit("\r", 1)[1]
    assert "100%" in last and "s of speech" in last


@pytest.mark.parametrize("interrupted", [True, False], ids=["Ctrl+C", "the reader goes away"])
def test_interrupted_program_ends_without_a_traceback(
    espeak_server: ServerProcess, interrupted: bool
) -> None:
    command = [*PROGRAM, LONG, "-o", "-", "--stream", "--server", espeak_server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None and program.stderr is not None
        assert program.stdout.read(44)[:4] == b"RIFF"
        if interrupted:
            program.send_signal(signal.SIGINT)
            program.stdout.read()
        else:
            program.stdout.close()
        complaints = program.stderr.read()
        code = program.wait(WITHIN_S)
    if interrupted:
        assert code == 130 and b"Traceback" not in complaints
    else:
        assert (code, complaints.count(b"\n")) == (1, 1)
        assert complaints.startswith(b"error: cannot write the speech")
