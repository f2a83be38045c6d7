"""The program of `python websocket_client.py`: speaks a text to a file or aloud, and manages voices."""

from kani.cli import prerequisites
from kani.cli.programs import CLIENT, COMMAND, LIST_VOICES, START_SERVER

with prerequisites.reported(__name__, CLIENT, "websockets"):
    import argparse
    import asyncio
    import contextlib
    import os
    import re
    import sys
    import time
    from collections.abc import AsyncGenerator, Iterator, Sequence
    from pathlib import Path
    from typing import Any
    from urllib.parse import urlsplit, urlunsplit

    from kani.cli import audiobook, broken_pipe, interrupt, voices
    from kani.cli.parser import ENDINGS, Parser, file_of, language_tag, number, standard_input, text_in_quotes
    from kani.cli.sound import CommandFailed, Output, WavOutput, find_player, read_wav
    from websocket_client import (
        LOCAL_HOSTS,
        AuthenticationFailed,
        KaniTTSClient,
        KaniTTSError,
        NoServer,
        SpeechPart,
    )
    from websocket_config import (
        DEFAULT_CONFIG,
        PUBLIC_TOKEN,
        SUPPORTED_EMOTIONS,
        SUPPORTED_LANGUAGES,
        WEBSOCKET_HOST,
        WEBSOCKET_PORT,
    )

_BAR_WIDTH = 30
_HALF_SCHEME = re.compile(r"(?:http|ws)s?:(?!//)")
_KEYS = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(KANI_API_KEYS?)[ \t]*=[ \t]*["']?([^\s,"'#]+)""", re.MULTILINE
)
_OPTION_OF = {"voice_id": "--voice", "emotion_strength": "--strength", "reference_audio": "--reference"} | {
    name: f"--{name}" for name in ("language", "emotion", "speed", "duration")
}
"""Options by the fields of the protocol that the server's errors begin with."""


class Progress:
    """Progress bar on standard error: the share of the text that is spoken, at first the elapsed time."""

    def __init__(self, characters: int) -> None:
        self._characters = characters
        self._started = time.monotonic()
        self._shown = sys.stderr.isatty()

    async def wait(self) -> None:
        """Show the elapsed time until cancelled."""
        while self._shown:
            elapsed = time.monotonic() - self._started
            at = int(elapsed * 10) % _BAR_WIDTH
            self._draw(("·" * at + "█").ljust(_BAR_WIDTH, "·"), f"{elapsed:.1f} s")
            await asyncio.sleep(0.1)

    def show(self, spoken: int, seconds: float) -> None:
        """Show `spoken` characters and `seconds` of speech so far."""
        share = min(1.0, spoken / self._characters)
        self._draw(
            ("█" * round(share * _BAR_WIDTH)).ljust(_BAR_WIDTH, "·"),
            f"{share:4.0%}  {seconds:.1f} s of speech",
        )

    def _draw(self, bar: str, words: str) -> None:
        if self._shown:
            print(f"\r{bar} {words} ", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Erase the bar."""
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
    pcm, rate = read_wav(wav)
    yield SpeechPart(pcm, {"sample_rate": rate})


@contextlib.contextmanager
def named_remedy() -> Iterator[None]:
    """Add the remedy to a failure to connect or to authenticate. Raises CommandFailed."""
    try:
        yield
    except AuthenticationFailed as failure:
        raise CommandFailed(f"{failure}: give the server's key with --api-key or KANI_API_KEY") from failure
    except NoServer as failure:
        raise CommandFailed(f"{failure}; start the server with: {START_SERVER}") from failure


async def _speak(options: argparse.Namespace, text: str, reference: bytes | None) -> None:
    """Request speech and write it to the outputs; what arrived before a failure is kept."""
    given = {
        "language": options.language,
        "emotion": options.emotion,
        "emotion_strength": options.strength,
        "speed": options.speed,
        "duration": options.duration,
        "voice_id": options.voice,
    }
    # The library speaks Spanish unless it is told otherwise; the program leaves the language to the server.
    defaults = {key: value for key, value in DEFAULT_CONFIG.items() if key != "language"}
    config = {**defaults, **{key: value for key, value in given.items() if value is not None}}
    async with contextlib.AsyncExitStack() as stack:
        with named_remedy():
            client = KaniTTSClient(url=options.server, api_key=options.api_key)
            await stack.enter_async_context(client)
        progress = Progress(len(text))
        stack.callback(progress.clear)
        waiting = asyncio.create_task(progress.wait())
        stack.callback(waiting.cancel)
        outputs: list[Output] = []
        closing = stack.enter_context(contextlib.ExitStack())
        started, first_audio, seconds = time.monotonic(), 0.0, 0.0
        async for part in _spoken(client, text, config, reference, options.stream):
            if not outputs:
                waiting.cancel()
                first_audio = time.monotonic() - started
                for output in _outputs(options, part.sample_rate):
                    outputs.append(output)
                    closing.callback(output.close)
            for output in outputs:
                await asyncio.to_thread(output.write, part.pcm)
            seconds += part.duration
            spoken = max((span[1] for span in part.metadata.get("spans", ())), default=0)
            progress.show(spoken if options.stream else len(text), seconds)
        took = time.monotonic() - started
        await asyncio.to_thread(closing.close)
    metadata = client.last_answer.get("metadata", {})
    early = f", first audio after {first_audio * 1000:.0f} ms" if options.stream else ""
    by = (
        f" by {metadata['engine']}, voice {metadata['voice']}, {metadata['language']}"
        if "engine" in metadata
        else ""
    )
    said = client.last_answer.get("message", "")
    print(f"{said}: {seconds:.2f} s of speech in {took:.2f} s{early}{by}", file=sys.stderr)
    if reference is not None or (options.voice or "").startswith("custom:"):
        print(voices.cloning_outcome(metadata), file=sys.stderr)


def _outputs(options: argparse.Namespace, sample_rate: int) -> Iterator[Output]:
    if options.play:
        yield find_player()(sample_rate)
    if options.output == "-":
        yield WavOutput(os.fdopen(os.dup(sys.stdout.fileno()), "wb"), sample_rate)
    elif options.output is not None:
        yield WavOutput(Path(options.output).open("wb"), sample_rate)  # noqa: SIM115


def server_address(url: str) -> str:
    """Return `url`, or `HOST:PORT`, as a WebSocket address. Raises ArgumentTypeError.

    `http` and `https` stand for `ws` and `wss`. The default port is 8001 on this machine, and where no scheme
    is given; else that of the scheme.
    """
    given = url if "://" in url else f"ws://{url}"
    try:
        if _HALF_SCHEME.match(url):
            raise ValueError
        parts = urlsplit(given)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        host = parts.hostname or ""
        valid = scheme in ("ws", "wss") and not re.search(r"^\d*$|[\s,]", host) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        port = f"; --port {url} names a port" if url.isdigit() else ""
        raise argparse.ArgumentTypeError(
            f"{url!r} is no address such as ws://localhost:{WEBSOCKET_PORT}{port}"
        )
    place = parts.netloc
    if parts.port is None and (parts.hostname in LOCAL_HOSTS or "://" not in url):
        place = f"{place.removesuffix(':')}:{WEBSOCKET_PORT}"
    return urlunsplit(parts._replace(scheme=scheme, netloc=place))


def add_server_options(options: argparse._ActionsContainer) -> None:
    """Add the options for the server's address and key."""
    here = f"ws://{WEBSOCKET_HOST}:{WEBSOCKET_PORT}"
    options.add_argument("--server", type=server_address, metavar="URL", help=f"{here} if not given")
    options.add_argument("--host", metavar="NAME", help="instead of --server: its machine")
    options.add_argument("--port", metavar="PORT", help="instead of --server: its port")
    options.add_argument(
        "--api-key",
        default=os.environ.get("KANI_API_KEY"),
        metavar="KEY",
        help="KANI_API_KEY if not given, and for a server of this machine what .env has for it",
    )


def find_server(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Set the address and the key that the options mean; ends the program for what is none."""
    host, port = options.host, options.port
    if options.server is None:
        host = WEBSOCKET_HOST if host is None else host
        bare = f"[{host}]" if host.count(":") > 1 and "[" not in host and "://" not in host else host
        if port is not None and not (port.isdecimal() and 0 < int(port) < 65536):
            parser.error(f"--port {port!r}: has to be a whole number from 1 to 65535")
        try:
            options.server = server_address(bare if port is None else f"{bare}:{port}")
        except argparse.ArgumentTypeError as error:
            parser.error(f"--host {host!r}: {error}")
    elif host is not None or port is not None:
        parser.error("--server names host and port already: leave out --host and --port")
    # A server that starts in this folder reads the file; its keys are for no other machine.
    if not options.api_key and urlsplit(options.server).hostname in LOCAL_HOSTS:
        options.api_key = _key_in_file(Path(".env"))


def _key_in_file(file: Path) -> str | None:
    """Return the client's key of a file of settings, else the first of its server's keys."""
    try:
        text = file.read_text("utf-8") if file.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return None
    # The shorter name comes first.
    found = sorted(key for key in _KEYS.findall(text) if key[1] != PUBLIC_TOKEN)
    return found[0][1] if found else None


def parser() -> Parser:
    """Return the program's options."""
    program = Parser(
        prog=CLIENT,
        description="Speak a text with a running Kani TTS server.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
        extra=text_in_quotes,
    )
    program.add_argument("text", nargs="?", help="text to speak, or a file; - or nothing: standard input")
    out = program.add_argument_group("output; the speech is played if none is given")
    out.add_argument("-o", "--output", metavar="FILE", help="write a WAV file; - is standard output")
    out.add_argument("--play", action="store_true", help="play it")
    out.add_argument(
        "--stream", action="store_true", help="write and play it as it arrives, not when it is complete"
    )
    how = program.add_argument_group("voice and style")
    how.add_argument(
        "--language", metavar="NAME", help=f"{', '.join(SUPPORTED_LANGUAGES)}; the text's own if not given"
    )
    how.add_argument(
        "--voice", metavar="ID", help="a voice's id, such as ef_dora; the language's own if not given"
    )
    how.add_argument(
        "--emotion", metavar="NAME", help=f"{', '.join(SUPPORTED_EMOTIONS)}; or several: happy:0.5,calm:0.5"
    )
    how.add_argument("--strength", type=number, metavar="SHARE", help="0 to 1 of the emotion; 1 if not given")
    how.add_argument("--speed", type=number, metavar="FACTOR", help="0.25 to 4.0; 1.0 if not given")
    how.add_argument(
        "--duration", type=number, metavar="SECONDS", help="length of the whole speech, instead of --speed"
    )
    how.add_argument("--reference", type=Path, metavar="FILE", help="recording of the voice to clone")
    voices.add_options(program)
    add_server_options(program.add_argument_group("server"))
    return program


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    program = parser()
    options = program.parse_args(arguments)
    find_server(program, options)
    reference = _checked(program, options)
    try:
        if voices.is_requested(options):
            with named_remedy():
                voices.manage(options, reference)
        else:
            interrupt.run(_speak(options, _text(program, options), reference))
    except (CommandFailed, KaniTTSError) as failure:
        print(f"error: {_for_people(str(failure))}", file=sys.stderr)
        return 1
    except OSError as error:
        listed = voices.is_requested(options)
        if listed and isinstance(error, BrokenPipeError) and broken_pipe.reader_has_gone():
            raise
        print(f"error: cannot write the {'voices' if listed else 'speech'}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _for_people(sentence: str) -> str:
    """Return an error of the server with the options and commands of this program."""
    field, colon, reason = sentence.partition(": ")
    named = f"{_OPTION_OF.get(field, field)}{colon}{reason}"
    return named.replace("GET /v1/audio/voices lists", f"{LIST_VOICES} lists")


def _checked(parser: argparse.ArgumentParser, options: argparse.Namespace) -> bytes | None:
    """Return the bytes of the reference, if any; ends the program if options exclude each other."""
    speaks = options.text is not None or options.output is not None or options.play
    if voices.is_requested(options):
        if speaks:
            parser.error("options for voices work without speaking: give no text, -o or --play")
        if options.add_voice is not None and not (options.reference and options.consent):
            parser.error("--add-voice needs --reference FILE and --consent WORDS")
    elif options.output is None:
        options.play = True
    elif options.output != "-":
        _check_output(parser, options.output)
    if options.consent is not None and options.add_voice is None:
        parser.error("--consent belongs to --add-voice")
    try:
        if options.voices and options.language is not None:
            options.language = language_tag(options.language)
    except ValueError as error:
        parser.error(str(error))
    try:
        return options.reference.read_bytes() if options.reference else None
    except OSError as error:
        parser.error(f"cannot read the reference: {error}")


def _check_output(parser: argparse.ArgumentParser, name: str) -> None:
    """End the program if no WAV file can be written there."""
    if not os.path.isdir(folder := Path(name).parent):
        parser.error(f"-o {name}: there is no folder {folder}")
    if os.path.isdir(name or "."):
        parser.error(f"-o {name!r}: is a folder: name a file, such as speech.wav")
    if Path(name).suffix.lower() in ENDINGS - {".wav"}:
        parser.error(f"-o {name}: this writes WAV files; {COMMAND} say, without --server, others too")


def _text(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """Return the text to speak; ends the program if there is none."""
    text: str = "-" if options.text is None else options.text
    try:
        if file := file_of(text):
            text = audiobook.text_of(file)
        elif text == "-":
            text = standard_input()
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if not text.strip():
        parser.error("there is no text to speak")
    return text


if __name__ == "__main__":
    with broken_pipe.tolerated():
        raise SystemExit(main())
