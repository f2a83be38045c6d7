"""What `python websocket_client.py` does: text in; a WAV file, sound, or both out."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

from websocket_client import AuthenticationFailed, KaniTTSClient, KaniTTSError, NotConnected, SpeechPart
from websocket_config import (
    DEFAULT_CONFIG,
    SUPPORTED_EMOTIONS,
    SUPPORTED_LANGUAGES,
    WEBSOCKET_HOST,
    WEBSOCKET_PORT,
)

_OPEN_LENGTH = 0xFFFFFFFF
_PIPE_PLAYERS = (["aplay", "-q", "-"], ["ffplay", "-nodisp", "-autoexit", "-loglevel", "error", "-i", "-"])
_BAR_WIDTH = 30


class Failure(Exception):
    """What ends the program with exit code 1; `str(failure)` says why and names the cure."""


class Output(Protocol):
    """Where 16-bit mono samples go. Both calls may block."""

    def write(self, pcm: bytes) -> None:
        """Take the next samples."""

    def close(self) -> None:
        """Finish: return when all that was taken is written, or heard."""


class WavOutput:
    """A WAV file written as the audio comes; if it cannot be rewritten, its header leaves the length open."""

    def __init__(self, file: IO[bytes], sample_rate: int) -> None:
        self._file, self._sample_rate, self._length = file, sample_rate, 0
        file.write(self._header(_OPEN_LENGTH))

    def _header(self, length: int) -> bytes:
        layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, self._sample_rate, 2 * self._sample_rate, 2, 16)
        riff = struct.pack("<4sI4s", b"RIFF", min(length + 36, _OPEN_LENGTH), b"WAVE")
        return riff + layout + struct.pack("<4sI", b"data", length)

    def write(self, pcm: bytes) -> None:
        """Append samples; a reader of the file sees them at once."""
        self._file.write(pcm)
        self._file.flush()
        self._length += len(pcm)

    def close(self) -> None:
        """Write the true length into the header, if the file can seek."""
        if self._file.seekable():
            self._file.seek(0)
            self._file.write(self._header(self._length))
        self._file.close()


class SoundCard:
    """The sound card, through the sounddevice package."""

    def __init__(self, sounddevice: Any, sample_rate: int) -> None:
        try:
            self._stream = sounddevice.RawOutputStream(samplerate=sample_rate, channels=1, dtype="int16")
        except sounddevice.PortAudioError as error:
            raise Failure(f"no sound card to play on ({error}): write a file with -o") from error
        self._stream.start()

    def write(self, pcm: bytes) -> None:
        """Play samples."""
        self._stream.write(pcm)

    def close(self) -> None:
        """Wait until all is heard."""
        self._stream.stop()
        self._stream.close()


class PipePlayer:
    """A program that plays the WAV file it reads from standard input."""

    def __init__(self, command: Sequence[str], sample_rate: int) -> None:
        self._name = Path(command[0]).name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603
        assert self._process.stdin is not None
        self._wav = WavOutput(self._process.stdin, sample_rate)

    def write(self, pcm: bytes) -> None:
        """Play samples."""
        with contextlib.suppress(BrokenPipeError):  # it ended early: close() says how
            self._wav.write(pcm)

    def close(self) -> None:
        """Wait until all is heard. Raises Failure if the program failed."""
        with contextlib.suppress(BrokenPipeError):
            self._wav.close()
        if code := self._process.wait():
            raise Failure(f"{self._name} could not play the sound (exit code {code}): write a file with -o")


class FilePlayer:
    """afplay, which plays a file that must be whole: nothing is heard before the end has come."""

    def __init__(self, program: str, sample_rate: int) -> None:
        self._program = program
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "speech.wav"
        self._wav = WavOutput(self._path.open("wb"), sample_rate)

    def write(self, pcm: bytes) -> None:
        """Keep samples."""
        self._wav.write(pcm)

    def close(self) -> None:
        """Play all of it. Raises Failure if the program failed."""
        self._wav.close()
        with self._folder:
            if code := subprocess.run([self._program, self._path], check=False).returncode:  # noqa: S603
                raise Failure(f"afplay could not play the sound (exit code {code}): write a file with -o")


def open_player(sample_rate: int) -> Output:
    """The first way to play sound that this machine has. Raises Failure if there is none."""
    # It raises OSError where the package is installed and the PortAudio library is not.
    with contextlib.suppress(ImportError, OSError):
        return SoundCard(importlib.import_module("sounddevice"), sample_rate)
    for name, *arguments in _PIPE_PLAYERS:
        if program := shutil.which(name):
            return PipePlayer([program, *arguments], sample_rate)
    if program := shutil.which("afplay"):
        return FilePlayer(program, sample_rate)
    raise Failure(
        "nothing here plays sound: pip install sounddevice, or install aplay (alsa-utils) or ffplay (FFmpeg)"
    )


class Progress:
    """A bar on standard error: how much of the text is spoken, or, until that is known, the time it takes."""

    def __init__(self, characters: int) -> None:
        self._characters = characters
        self._begun = time.monotonic()
        self._shown = sys.stderr.isatty()

    async def wait(self) -> None:
        """Show the time going by until cancelled."""
        while self._shown:
            elapsed = time.monotonic() - self._begun
            at = int(elapsed * 10) % _BAR_WIDTH
            self._draw(("·" * at + "█").ljust(_BAR_WIDTH, "·"), f"{elapsed:.1f} s")
            await asyncio.sleep(0.1)

    def show(self, spoken: int, seconds: float) -> None:
        """Show that `spoken` characters became `seconds` of speech so far."""
        share = min(1.0, spoken / self._characters)
        self._draw(
            ("█" * round(share * _BAR_WIDTH)).ljust(_BAR_WIDTH, "·"),
            f"{share:4.0%}  {seconds:.1f} s of speech",
        )

    def _draw(self, bar: str, words: str) -> None:
        if self._shown:
            print(f"\r{bar} {words} ", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Give the line back."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


async def _spoken(
    client: KaniTTSClient, text: str, config: dict[str, Any], reference: bytes | None, stream: bool
) -> AsyncGenerator[SpeechPart, None]:
    if stream:
        async with contextlib.aclosing(client.stream(text, config, reference)) as parts:
            async for part in parts:
                yield part
        return
    wav = await client.send_tts_request(text, config, reference)
    try:
        with wave.open(io.BytesIO(wav)) as whole:
            pcm, rate = whole.readframes(whole.getnframes()), whole.getframerate()
    except (wave.Error, EOFError) as error:
        raise Failure(f"the server sent no 16-bit WAV file ({error})") from error
    yield SpeechPart(pcm, {"sample_rate": rate})


async def _connected(options: argparse.Namespace, stack: contextlib.AsyncExitStack) -> KaniTTSClient:
    try:
        client = KaniTTSClient(url=options.server, api_key=options.api_key)
        return await stack.enter_async_context(client)
    except AuthenticationFailed as failure:
        raise Failure(f"{failure}: give the server's key with --api-key or KANI_API_KEY") from failure
    except NotConnected as failure:
        raise Failure(f"{failure}; start the server with: python start_websocket_server.py") from failure


async def _speak(options: argparse.Namespace, text: str, reference: bytes | None) -> None:
    """Ask for the speech and hand it on; what came before a failure is kept."""
    given = {
        "language": options.language,
        "emotion": options.emotion,
        "emotion_strength": options.strength,
        "speed": options.speed,
        "duration": options.duration,
        "voice_id": options.voice,
    }
    config = {**DEFAULT_CONFIG, **{key: value for key, value in given.items() if value is not None}}
    async with contextlib.AsyncExitStack() as stack:
        client = await _connected(options, stack)
        progress = Progress(len(text))
        stack.callback(progress.clear)
        waiting = asyncio.create_task(progress.wait())
        stack.callback(waiting.cancel)
        outputs: list[Output] = []
        closing = stack.enter_context(contextlib.ExitStack())
        begun, first_audio, seconds = time.monotonic(), 0.0, 0.0
        async for part in _spoken(client, text, config, reference, options.stream):
            if not outputs:
                waiting.cancel()
                first_audio = time.monotonic() - begun
                for output in _outputs(options, part.sample_rate):
                    outputs.append(output)
                    closing.callback(output.close)
            for output in outputs:
                await asyncio.to_thread(output.write, part.pcm)
            seconds += part.duration
            spoken = max((span[1] for span in part.metadata.get("spans", ())), default=0)
            progress.show(spoken if options.stream else len(text), seconds)
        took = time.monotonic() - begun
        await asyncio.to_thread(closing.close)
    metadata = client.last_answer.get("metadata", {})
    early = f", first audio after {first_audio * 1000:.0f} ms" if options.stream else ""
    by = f" by {metadata['engine']}, voice {metadata['voice']}" if "engine" in metadata else ""
    said = client.last_answer.get("message", "")
    print(f"{said}: {seconds:.2f} s of speech in {took:.2f} s{early}{by}", file=sys.stderr)
    if reference is not None and metadata.get("cloning") == "none":
        print("the voice of the reference was not cloned: the engine at hand does not clone", file=sys.stderr)


def _outputs(options: argparse.Namespace, sample_rate: int) -> Iterator[Output]:
    if options.play:
        yield open_player(sample_rate)
    if options.output == "-":
        yield WavOutput(os.fdopen(os.dup(sys.stdout.fileno()), "wb"), sample_rate)
    elif options.output is not None:
        yield WavOutput(Path(options.output).open("wb"), sample_rate)  # noqa: SIM115


def server_address(url: str) -> str:
    """`url`, or `HOST:PORT`, as a WebSocket address. Raises ArgumentTypeError."""
    url = url if "://" in url else f"ws://{url}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(f"{url!r} is no address such as ws://localhost:8001")
    return url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="websocket_client.py",
        description="Speak a text with a running Kani TTS server.",
        epilog="Exit codes: 0 spoken, 1 failed, 2 wrong usage, 130 interrupted.",
    )
    parser.add_argument("text", nargs="?", default="-", help="what to say; - or nothing: read standard input")
    out = parser.add_argument_group("where the speech goes (one of the first two at least)")
    out.add_argument("-o", "--output", metavar="FILE", help="write a WAV file; - is standard output")
    out.add_argument("--play", action="store_true", help="play it")
    out.add_argument(
        "--stream", action="store_true", help="write and play it as it comes, not when all is there"
    )
    how = parser.add_argument_group("how it is said")
    how.add_argument(
        "--language", metavar="NAME", help=f"{', '.join(SUPPORTED_LANGUAGES)}; spanish if not given"
    )
    how.add_argument(
        "--voice", metavar="ID", help="a voice's id, such as ef_dora; the language's own if not given"
    )
    how.add_argument(
        "--emotion", metavar="NAME", help=f"{', '.join(SUPPORTED_EMOTIONS)}; or several: happy:0.5,calm:0.5"
    )
    how.add_argument("--strength", type=float, metavar="SHARE", help="0 to 1 of the emotion; 1 if not given")
    how.add_argument("--speed", type=float, metavar="FACTOR", help="0.25 to 4.0; 1.0 if not given")
    how.add_argument(
        "--duration", type=float, metavar="SECONDS", help="how long all of it is to be, in place of --speed"
    )
    how.add_argument("--reference", type=Path, metavar="FILE", help="a recording of the voice to speak with")
    where = parser.add_argument_group("which server")
    where.add_argument(
        "--server",
        type=server_address,
        default=f"ws://{WEBSOCKET_HOST}:{WEBSOCKET_PORT}",
        metavar="URL",
        help="%(default)s if not given",
    )
    where.add_argument(
        "--api-key", default=os.environ.get("KANI_API_KEY"), metavar="KEY", help="KANI_API_KEY if not given"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.output is None and not options.play:
        parser.error("say where the speech goes: -o FILE, --play or both")
    if options.text == "-" and sys.stdin.isatty():
        print("Type the text and end it with Ctrl+D.", file=sys.stderr)
    try:
        text = sys.stdin.buffer.read().decode() if options.text == "-" else options.text
        reference = options.reference.read_bytes() if options.reference else None
    except UnicodeDecodeError:
        parser.error("standard input is not UTF-8 text")
    except OSError as error:
        parser.error(f"cannot read the reference: {error}")
    if not text.strip():
        parser.error("there is no text to speak")
    try:
        asyncio.run(_speak(options, text, reference))
    except (Failure, KaniTTSError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: cannot write the speech: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
