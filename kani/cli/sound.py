"""Outputs of `python websocket_client.py`: a WAV file, the sound card, a program that plays."""

import contextlib
import importlib
import io
import shutil
import struct
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

_OPEN_LENGTH = 0xFFFFFFFF
# The first is of PulseAudio and PipeWire, and plays also where ALSA knows no device.
_PIPE_PLAYERS = (
    ["paplay"],
    ["aplay", "-q", "-"],
    ["ffplay", "-nodisp", "-autoexit", "-loglevel", "fatal", "-i", "-"],
)
_FILE_PLAYERS = ("pw-play", "afplay")
_FFPLAY_FAILED = "Failed to open file"
_SHORTEST_SHARE = 0.5


class CommandFailed(Exception):
    """An error that ends the program with exit code 1; `str()` names the reason and the remedy."""


class Output(Protocol):
    """Sink of 16-bit mono samples. Both calls may block."""

    def write(self, pcm: bytes) -> None:
        """Write the next samples."""

    def close(self) -> None:
        """Finish: return when all samples are written or played."""

    def abort(self) -> None:
        """End at once, without what is not played yet."""


class WavOutput:
    """A WAV file written as the audio arrives; without seeking, its header leaves the length open."""

    def __init__(self, file: IO[bytes], sample_rate: int) -> None:
        self._file, self._sample_rate, self._length = file, sample_rate, 0
        file.write(self._header(_OPEN_LENGTH))

    def _header(self, length: int) -> bytes:
        layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, self._sample_rate, 2 * self._sample_rate, 2, 16)
        riff = struct.pack("<4sI4s", b"RIFF", min(length + 36, _OPEN_LENGTH), b"WAVE")
        return riff + layout + struct.pack("<4sI", b"data", length)

    def write(self, pcm: bytes) -> None:
        """Append samples, visible to a reader of the file at once."""
        self._file.write(pcm)
        self._file.flush()
        self._length += len(pcm)

    def close(self) -> None:
        """Write the true length into the header, if the file can seek."""
        if self._file.seekable():
            self._file.seek(0)
            self._file.write(self._header(self._length))
        self._file.close()

    def abort(self) -> None:
        """Leave the file as it is."""
        self._file.close()


def read_wav(content: bytes) -> tuple[bytes, int]:
    """Return the samples of a server's WAV file, and their rate. Raises CommandFailed."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            return file.readframes(file.getnframes()), file.getframerate()
    except (wave.Error, EOFError) as error:
        raise CommandFailed(f"the server sent no 16-bit WAV file ({error})") from error


class SoundCard:
    """The sound card, by the sounddevice package."""

    def __init__(self, sounddevice: Any, sample_rate: int) -> None:
        try:
            self._stream = sounddevice.RawOutputStream(samplerate=sample_rate, channels=1, dtype="int16")
        except sounddevice.PortAudioError as error:
            raise CommandFailed(f"no sound card to play on ({error}): write a file instead (-o)") from error
        self._stream.start()

    def write(self, pcm: bytes) -> None:
        """Play samples."""
        self._stream.write(pcm)

    def close(self) -> None:
        """Wait until all samples are played."""
        self._stream.stop()
        self._stream.close()

    def abort(self) -> None:
        """Fall silent."""
        self._stream.abort()
        self._stream.close()


class PipePlayer:
    """A program that plays the WAV file it reads from standard input."""

    def __init__(self, command: Sequence[str], sample_rate: int) -> None:
        self._name = Path(command[0]).name
        # A file, as nothing reads a pipe meanwhile.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._sample_rate, self._samples, self._started = sample_rate, 0, time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stderr=self._complaints
        )
        assert self._process.stdin is not None
        self._wav = WavOutput(self._process.stdin, sample_rate)

    def write(self, pcm: bytes) -> None:
        """Play samples."""
        self._samples += len(pcm) // 2
        with contextlib.suppress(BrokenPipeError):  # it ended early: close() reports how
            self._wav.write(pcm)

    def close(self) -> None:
        """Wait until all samples are played. Raises CommandFailed if they were not."""
        with contextlib.suppress(BrokenPipeError):
            self._wav.close()
        code = self._process.wait()
        ran_s = time.monotonic() - self._started
        with self._complaints:
            self._complaints.seek(0)
            complaints = self._complaints.read()
        check_played(self._name, code, complaints, ran_s, self._samples / self._sample_rate)

    def abort(self) -> None:
        """Fall silent."""
        self._process.kill()
        self._process.wait()
        self._complaints.close()


class FilePlayer:
    """A program that needs the complete file: playback starts after the last samples."""

    def __init__(self, program: str, sample_rate: int) -> None:
        self._program = program
        self._sample_rate, self._samples = sample_rate, 0
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "speech.wav"
        self._wav = WavOutput(self._path.open("wb"), sample_rate)

    def write(self, pcm: bytes) -> None:
        """Append samples."""
        self._samples += len(pcm) // 2
        self._wav.write(pcm)

    def close(self) -> None:
        """Play all samples. Raises CommandFailed if they were not played."""
        self._wav.close()
        started = time.monotonic()
        with self._folder:
            done = subprocess.run([self._program, self._path], stderr=subprocess.PIPE, check=False)  # noqa: S603
        ran_s, seconds = time.monotonic() - started, self._samples / self._sample_rate
        check_played(Path(self._program).name, done.returncode, done.stderr, ran_s, seconds)

    def abort(self) -> None:
        """Play nothing."""
        self._wav.abort()
        self._folder.cleanup()


def check_played(name: str, code: int, complaints: bytes, ran_s: float, seconds: float) -> None:
    """Raise CommandFailed if a player cannot have played `seconds` of sound.

    code: its exit code, which is 0 from ffplay in any case; complaints: its standard error; ran_s: seconds
    that it ran: a sound card takes as long as the sound is.
    """
    lines = [line.strip() for line in complaints.decode("utf-8", "replace").splitlines() if line.strip()]
    if code:
        reason = f"exit code {code}"
    elif any(line.startswith(_FFPLAY_FAILED) for line in lines):
        reason = "no sound device"
    elif ran_s < seconds * _SHORTEST_SHARE:
        reason = f"it ended after {ran_s:.1f} s of {seconds:.1f} s"
    else:
        return
    # The sound libraries write a line for each device that they tried; the player's own comes last.
    said = f": {lines[-1]}" if lines else ""
    raise CommandFailed(f"{name} could not play the sound ({reason}{said}); write a file instead (-o)")


def find_player() -> Callable[[int], Output]:
    """Return what opens the first player that this machine has, for a sample rate.

    Raises CommandFailed if there is none, here or when it is opened.
    """
    remedy = "pip install sounddevice"
    try:
        return partial(SoundCard, importlib.import_module("sounddevice"))
    except ImportError:
        pass
    except OSError as error:
        remedy = f"sounddevice lacks its library ({error}): install libportaudio2"
    for name, *arguments in _PIPE_PLAYERS:
        if program := shutil.which(name):
            return partial(PipePlayer, [program, *arguments])
    for name in _FILE_PLAYERS:
        if program := shutil.which(name):
            return partial(FilePlayer, program)
    raise CommandFailed(
        f"no player found: {remedy}, or install paplay (pulseaudio-utils), aplay (alsa-utils) or ffplay"
        " (FFmpeg), or write a file instead (-o)"
    )
