"""`python websocket_client.py`, run as its users run it."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import wave
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest

from kani.cli.client import server_address
from kani.cli.sound import WavOutput
from kani.core.audio.pcm import wav
from tests.page.firefox import launch
from tests.support.patience import WITHIN_S

PROGRAM = Path(__file__).parents[2] / "websocket_client.py"
HELLO = "¡Hola! ¿Cómo estás?"
LONG = "Esta frase se repite para que haya mucho que decir, y nadie espera hasta el final. " * 40


def run(
    *arguments: str | Path, text: str | bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The program with these arguments and this standard input."""
    given = text.encode() if isinstance(text, str) else text
    return subprocess.run(
        [sys.executable, PROGRAM, *arguments],
        input=given,
        capture_output=True,
        env={**os.environ, **(env or {})},
        timeout=WITHIN_S,
        check=False,
    )


def seconds(file: Path | io.BytesIO) -> float:
    """Length of a 22050 Hz mono WAV file in seconds, by its header, which must be right."""
    with wave.open(str(file) if isinstance(file, Path) else file) as reader:
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


def player(folder: Path, script: str, name: str = "aplay") -> dict[str, str]:
    """An environment with one program only: a player that does what the script says."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return only_programs(folder)


def only_programs(folder: Path) -> dict[str, str]:
    """An environment with only the programs of a folder, and without sounddevice."""
    (folder / "sounddevice.py").write_text("raise ImportError\n")
    return {"PATH": str(folder), "PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("text", "options", "by"),
    [
        ("Hello there, how are you today?", [], "voice espeak:en-us, english"),
        ("Hello there, how are you today?", ["--voice", "espeak:es"], "voice espeak:es, english"),
        ("Hello world", ["--voice", "espeak:en-gb-x-rp"], "voice espeak:en-gb-x-rp, english"),
        ("OK", ["--voice", "espeak:en-gb-x-rp"], "voice espeak:en-gb-x-rp, english"),
        (HELLO, [], "voice espeak:es, spanish"),
        ("OK", [], "voice espeak:es, spanish"),
        ("Hello world", ["--language", "german"], "voice espeak:de, german"),
    ],
)
def test_text_is_spoken_in_its_own_language(
    espeak_server: Any, tmp_path: Path, text: str, options: list[str], by: str
) -> None:
    done = run(text, "-o", tmp_path / "speech.wav", "--server", espeak_server.url, *options)
    assert done.returncode == 0 and done.stderr.decode().rstrip().endswith(f"by espeak, {by}")


@pytest.mark.parametrize("options", [[], ["--stream"]])
def test_writes_a_file(espeak_server: Any, tmp_path: Path, options: list[str]) -> None:
    done = run(HELLO, "-o", tmp_path / "hola.wav", "--server", espeak_server.url, *options)
    assert done.returncode == 0, done.stderr
    assert seconds(tmp_path / "hola.wav") > 0.5
    assert b"s of speech in" in done.stderr and done.stdout == b""
    assert (b"first audio after" in done.stderr) == bool(options)
    assert b"\r" not in done.stderr


@pytest.mark.parametrize("arguments", [["-"], []])
def test_reads_standard_input_and_writes_standard_output(espeak_server: Any, arguments: list[str]) -> None:
    done = run(*arguments, "-o", "-", "--stream", "--server", espeak_server.url, text=HELLO)
    assert done.returncode == 0, done.stderr
    assert done.stdout[:4] == b"RIFF" and struct.unpack("<I", done.stdout[40:44]) == (0xFFFFFFFF,)
    assert len(done.stdout) > 44 + 22050


def test_configuration_reaches_the_server(espeak_server: Any, tmp_path: Path) -> None:
    for speed in ("0.7", "1.6"):
        done = run(HELLO, "-o", tmp_path / f"{speed}.wav", "--speed", speed, "--server", espeak_server.url)
        assert done.returncode == 0, done.stderr
    assert seconds(tmp_path / "0.7.wav") > 1.5 * seconds(tmp_path / "1.6.wav")
    for options in (["--emotion", "sad:0.5,calm:0.5"], ["--emotion", "sad", "--strength", "0.5"]):
        done = run(HELLO, "-o", tmp_path / "felt.wav", *options, "--server", espeak_server.url)
        assert done.returncode == 0, done.stderr
    for option in ("emotion", "language", "voice"):
        done = run(HELLO, "-o", tmp_path / "x.wav", f"--{option}", "nonsense", "--server", espeak_server.url)
        assert done.returncode == 1
        assert done.stderr.startswith(b"error: ") and option.encode() in done.stderr
        assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "x.wav").exists()


def test_a_length_is_met_or_refused(espeak_server: Any, tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    assert run(HELLO, "-o", file, "--server", espeak_server.url).returncode == 0
    wanted = round(1.3 * seconds(file), 2)
    done = run(HELLO, "-o", file, "--duration", str(wanted), "--server", espeak_server.url)
    assert done.returncode == 0, done.stderr
    assert seconds(file) == pytest.approx(wanted, rel=0.02)
    for options, reason in (
        (["--duration", "60"], b"error: duration: this text can be said in "),
        (["--duration", "2", "--speed", "1.5"], b"error: duration: cannot be given together with a speed"),
        (["--emotion", "sad", "--strength", "2"], b"error: emotion_strength: must be between 0 and 1"),
    ):
        done = run(HELLO, "-o", tmp_path / "x.wav", *options, "--server", espeak_server.url)
        assert done.returncode == 1 and done.stderr.startswith(reason), done.stderr
    assert not (tmp_path / "x.wav").exists()


def test_a_reference_is_answered_truthfully(espeak_server: Any, tmp_path: Path) -> None:
    reference = tmp_path / "me.wav"
    assert run(HELLO, "-o", reference, "--server", espeak_server.url).returncode == 0
    done = run(HELLO, "-o", "-", "--reference", reference, "--server", espeak_server.url)
    assert done.returncode == 0, done.stderr
    assert b"not cloned" in done.stderr


def test_nearest_voice_is_reported_with_its_similarity(
    server: Any, espeak_server: Any, tmp_path: Path
) -> None:
    reference = tmp_path / "me.wav"
    assert run(LONG[:200], "-o", reference, "--server", espeak_server.url).returncode == 0
    done = run(HELLO, "-o", "-", "--reference", reference, "--server", server.url)
    assert done.returncode == 0, done.stderr
    told = re.search(
        r"^nearest voice 0\.\d\d → 0\.\d\d( expected)?: near, not the same$", done.stderr.decode(), re.M
    )
    assert told, done.stderr


def test_first_available_player_plays(espeak_server: Any, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    # A player takes as long as the sound.
    env = player(tmp_path, f"/bin/cat > {heard}; exec /bin/sleep 2")
    for options in (["--play"], ["--play", "--stream"], []):
        done = run(HELLO, *options, "--server", espeak_server.url, env=env)
        assert done.returncode == 0, done.stderr
        assert heard.read_bytes()[:4] == b"RIFF"
        assert len(heard.read_bytes()) > 44 + 22050
        heard.unlink()


def test_a_player_that_fails_and_none_at_all(espeak_server: Any, tmp_path: Path) -> None:
    done = run(HELLO, "--play", "--server", espeak_server.url, env=player(tmp_path, "exit 3"))
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"aplay could not play the sound (exit code 3); write a file with -o" in done.stderr
    done = run(
        HELLO, "--play", "--server", espeak_server.url, env={**only_programs(tmp_path), "PATH": "/nothing"}
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"pip install sounddevice" in done.stderr


@pytest.mark.parametrize(
    ("name", "script", "reason"),
    [
        ("aplay", "/bin/cat > /dev/null", b"it ended after 0."),
        (
            "ffplay",
            "/bin/cat > /dev/null; /bin/sleep 2; echo 'ALSA lib pcm.c: Unknown PCM default' >&2; "
            "echo \"Failed to open file 'pipe:' or configure filtergraph\" >&2",
            b"no sound device: Failed to open file 'pipe:' or configure filtergraph)",
        ),
        ("paplay", "echo 'connection failed' >&2; exit 1", b"(exit code 1: connection failed)"),
        ("pw-play", "echo 'no server' >&2; exit 1", b"(exit code 1: no server)"),
        ("pw-play", "exit 0", b"it ended after 0."),
    ],
)
def test_a_player_that_plays_nothing_has_failed(
    espeak_server: Any, tmp_path: Path, name: str, script: str, reason: bytes
) -> None:
    done = run(HELLO, "--play", "--server", espeak_server.url, env=player(tmp_path, script, name))
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert done.stderr.startswith(f"error: {name} could not play the sound (".encode())
    assert reason in done.stderr and b"write a file with -o" in done.stderr


@pytest.mark.skipif(shutil.which("ffplay") is None, reason="there is no ffplay")
@pytest.mark.skipif(Path("/proc/asound/cards").exists(), reason="it would play on the sound card")
def test_ffplay_without_a_sound_card(espeak_server: Any, tmp_path: Path) -> None:
    (tmp_path / "ffplay").symlink_to(shutil.which("ffplay") or "")
    nowhere = {"PULSE_SERVER": f"unix:{tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}
    env = only_programs(tmp_path) | nowhere
    done = run(HELLO, "--play", "--server", espeak_server.url, env=env)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert b"ffplay could not play the sound (" in done.stderr and b"ALSA lib" not in done.stderr


@pytest.mark.skipif(bool(missing := launch.missing_sound()), reason=f"there is no {missing}")
@pytest.mark.parametrize("name", ["paplay", "ffplay"])
def test_a_real_player_plays(espeak_server: Any, tmp_path: Path, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name}")
    silence = tmp_path / "silence.wav"
    silence.write_bytes(wav(bytes(44_100), 22_050))
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / name).symlink_to(shutil.which(name) or "")
    with launch.sound_card(tmp_path, silence) as environment:
        env = {**environment, **only_programs(programs)}
        done = run(HELLO, "--play", "--stream", "--server", espeak_server.url, env=env)
    assert (done.returncode, done.stderr.count(b"\n")) == (0, 1), done.stderr


def test_a_sound_card_without_its_library(espeak_server: Any, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    env = {"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    done = run(HELLO, "--server", espeak_server.url, env=env)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"libportaudio2" in done.stderr and b"pip install" not in done.stderr


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("localhost", "ws://localhost:8001"),
        ("speech.example", "ws://speech.example:8001"),
        ("ws://localhost", "ws://localhost:8001"),
        ("ws://[::1]", "ws://[::1]:8001"),
        ("http://localhost:8001", "ws://localhost:8001"),
        ("http://localhost:8001/", "ws://localhost:8001/"),
        ("https://speech.example", "wss://speech.example"),
        ("ws://speech.example/kani", "ws://speech.example/kani"),
        ("wss://localhost:9000", "wss://localhost:9000"),
    ],
)
def test_addresses(given: str, address: str) -> None:
    assert server_address(given) == address


def test_a_server_that_is_another_one(espeak_server: Any, tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    plain = run(HELLO, "-o", file, "--server", espeak_server.url.replace("ws://", "wss://"))
    assert plain.returncode == 1 and b"the server speaks no TLS" in plain.stderr
    assert b"start the server" not in plain.stderr
    other = run(HELLO, "-o", file, "--server", f"{espeak_server.url}/tts")
    assert other.returncode == 1 and b"does not speak Kani's protocol" in other.stderr, other.stderr
    assert b"8001" in other.stderr


def test_half_an_address_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="'http:/bad' is no address"):
        server_address("http:/bad")


@pytest.mark.server
def test_no_server(closed_port: int, tmp_path: Path) -> None:
    done = run(HELLO, "-o", tmp_path / "hola.wav", "--server", f"localhost:{closed_port}")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"python start_websocket_server.py" in done.stderr
    assert not list(tmp_path.iterdir())


def test_file_that_cannot_be_written(espeak_server: Any, tmp_path: Path) -> None:
    done = run(HELLO, "-o", tmp_path, "--server", espeak_server.url)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"cannot write the speech" in done.stderr


@pytest.mark.server
@pytest.mark.parametrize(
    ("arguments", "text", "complaint"),
    [
        ([HELLO, "-o", "no/such/folder/x.wav"], b"", b"there is no folder no/such/folder"),
        (["-o", "x.wav"], b"  \n", b"no text"),
        (["-o", "x.wav"], b"\xff\xfe", b"not UTF-8"),
        ([HELLO, "-o", "x.wav", "--speed", "fast"], b"", b"--speed"),
        ([HELLO, "-o", "x.wav", "--server", "ftp://localhost:8001"], b"", b"--server"),
        ([HELLO, "-o", "x.wav", "--server", "localhost:port"], b"", b"--server"),
        ([HELLO, "-o", "x.wav", "--reference", "no such file"], b"", b"reference"),
    ],
)
def test_wrong_usage(arguments: list[str], text: bytes, complaint: bytes) -> None:
    done = run(*arguments, text=text)
    assert done.returncode == 2
    assert complaint in done.stderr


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals on this system")
@pytest.mark.parametrize("options", [[], ["--stream"]])
def test_progress_bar_on_a_terminal(espeak_server: Any, tmp_path: Path, options: list[str]) -> None:
    terminal, side = os.openpty()
    done = subprocess.run(
        [
            sys.executable,
            PROGRAM,
            HELLO,
            "-o",
            tmp_path / "hola.wav",
            "--server",
            espeak_server.url,
            *options,
        ],
        stderr=side,
        timeout=WITHIN_S,
        check=False,
    )
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


def test_interrupted(espeak_server: Any, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, PROGRAM, LONG, "-o", "-", "--stream", "--server", espeak_server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert len(process.stdout.read(1000)) == 1000
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 130
    assert b"Traceback" not in complaints


def test_reader_that_goes_away(espeak_server: Any) -> None:
    with subprocess.Popen(
        [sys.executable, PROGRAM, LONG, "-o", "-", "--stream", "--server", espeak_server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(44)[:4] == b"RIFF"
        process.stdout.close()
        complaints = process.stderr.read()
        assert process.wait(WITHIN_S) == 1
    assert complaints.startswith(b"error: cannot write the speech") and complaints.count(b"\n") == 1
