"""``kani-tts say``, ``listen``, ``align`` and ``voices``: the library, or the client of a ``--server``."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

# The library, numpy and the engines are imported once the options are read.
import kani
from kani.books.book import ENDINGS
from kani.cli import audiobook, broken_pipe
from kani.cli.parser import (
    Parser,
    extra_word,
    file_of,
    language_tag,
    number,
    refusing,
    standard_input,
    text_in_quotes,
)
from kani.cli.prerequisites import CANNOT_START, INTERRUPTED, USAGE, imports_are_done
from kani.cli.programs import COMMAND
from kani.cli.sound import CommandFailed, find_player
from kani_text.languages import resolve

if TYPE_CHECKING:
    from kani.core.types import SpeechChunk

_WRONG = (ValueError, FileNotFoundError, IsADirectoryError, NotADirectoryError)
"""Errors of what the command line names, beside InvalidRequest."""
_OPTION = re.compile(
    r"^(?=(?:engine|recognizer|voice|language|speed|emotion|reference|speakers|prompt)\b[:=])"
)
"""Place of the dashes of an option, before the setting or the field that an error names."""
_FORMATS = ("wav", "mp3", "flac", "opus", "ogg", "aac", "m4b", "m4a")


def main(command: str, arguments: Sequence[str]) -> int:
    """Run a command; return its exit code: 0 done, 1 failed, 2 usage, 130 interrupted."""
    if command in ("say", "voices") and any(each.partition("=")[0] == "--server" for each in arguments):
        from kani.cli import client

        return client.main([*(["--voices"] if command == "voices" else []), *arguments])
    try:
        {"say": _say, "listen": _listen, "align": _align, "voices": _voices}[command](arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (kani.SpeechError, CommandFailed, OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError) and broken_pipe.reader_has_gone():
            raise
        sentence = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            sentence = f"{error.filename}: {error.strerror}"
        if isinstance(error, kani.UnknownVoice):
            sentence += f"; {COMMAND} voices lists the voices"
        print(f"{COMMAND} {command}: {_OPTION.sub('--', sentence)}", file=sys.stderr)
        lasting = isinstance(error, kani.EngineUnavailable) and not error.passing
        wrong = lasting or isinstance(error, (kani.InvalidRequest, *_WRONG))
        return USAGE if wrong else CANNOT_START
    return 0


def _parser(command: str, description: str, **hints: Any) -> Parser:
    return Parser(prog=f"{COMMAND} {command}", description=description, **hints)


def _elsewhere() -> Mapping[str, str]:
    """Return what is no option of ``say`` without a server, with its cure."""
    from kani.cli.client import parser
    from kani.composition.settings import option_variables

    with_server = [name for action in parser()._actions for name in action.option_strings]
    set_by = {name: f"{variable} sets it" for name, variable in option_variables(network=False).items()}
    return set_by | dict.fromkeys(with_server, "it belongs to --server URL")


def _say(arguments: Sequence[str]) -> None:
    parser = _parser("say", "Speak a text, without a server.", extra=text_in_quotes, elsewhere=_elsewhere)
    parser.add_argument(
        "text", nargs="?", default="-", help="text to speak, or a book; - or nothing: standard input"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write .wav, .mp3, .flac, .opus, .ogg or .aac, a book as .m4b, .m4a or .mp3; the"
        " speech is played if not given; - is standard output",
    )
    parser.add_argument("--format", choices=_FORMATS, help="of -o -; wav if not given, of a book mp3")
    parser.add_argument("--voice", metavar="ID", help=f"such as ef_dora; {COMMAND} voices lists them")
    parser.add_argument("--language", metavar="TAG", help="such as es; the text's own if not given")
    parser.add_argument("--speed", type=number, metavar="FACTOR", help="0.25 to 4.0")
    parser.add_argument("--emotion", metavar="NAME", help="such as happy, or happy:0.5,calm:0.5")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="recording of a voice to imitate")
    parser.add_argument("--engine", default="auto", metavar="NAME", help=f"as for {COMMAND} serve")
    parser.add_argument(
        "--server",
        metavar="URL",
        help=f"let this server speak; then the options are those of {COMMAND} say --server URL --help",
    )
    audiobook.add_options(parser)
    given = parser.parse_args(arguments)
    piped = given.piped = str(given.output) in ("-", "/dev/stdout")
    if given.format and not piped:
        parser.error("--format is for -o -: of a file the ending of its name decides")
    if piped and (sys.stdout is None or sys.stdout.isatty()):
        parser.error(f"-o {given.output}: pipe the standard output into a program, or into a file")
    if piped:
        given.output = Path(f"speech.{given.format or 'wav'}")
    file = file_of(given.text)
    if file is not None and audiobook.is_book(file, given):
        if not piped or given.chapters:
            audiobook.say_book(file, given)
        elif given.subtitles:
            parser.error("--subtitles are written beside a file, such as -o book.m4b")
        else:
            _pipe_book(file, given)
        return
    if given.chapters or given.chapter_voice or given.subtitles:
        parser.error("--chapters, --chapter-voice and --subtitles are for books, such as book.epub")
    if file is not None:
        text = audiobook.text_of(file)
    else:
        text = standard_input() if given.text == "-" else given.text
    if not text.strip():
        parser.error("there is no text to speak")
    if given.language is not None:
        given.language = resolve(given.language)
    _check(given)
    _speak(text, given)


def _speak(text: str, given: argparse.Namespace) -> None:
    """Speak a text into standard output, a file or the loudspeaker."""
    how = {name: getattr(given, name) for name in ("voice", "language", "speed", "emotion", "reference")}
    with kani.Speech(given.engine, **_defaults(given)) as speech:
        imports_are_done()
        if given.piped and not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
            _pipe(speech.stream(text, **how), given.output)
            return
        if given.piped:
            sys.stdout.buffer.write(speech.say(text, **how).encoded(given.output))
            return
        if given.output is not None:
            audio = speech.say(text, **how)
            audio.save(given.output)
            print(f"{given.output}: {audio.duration_s:.2f} s of speech by {audio.voice}", file=sys.stderr)
            return
        from kani.core.audio.pcm import pcm16

        player = None
        try:
            for chunk in speech.stream(text, **how):
                player = player or find_player()(chunk.sample_rate)
                player.write(pcm16(chunk.samples))
        finally:
            if player is not None:
                player.close()


def _pipe(chunks: Iterable[SpeechChunk], form: Path) -> None:
    """Write speech to standard output as it is made; form: its ending names the format."""
    from kani.core.audio.encoding import AudioFormat, Encoder, create_encoder
    from kani.library.results import codec_of

    codec, bit_rate = codec_of(form)
    encoder: Encoder | None = None
    for chunk in chunks:
        if encoder is None:
            audio_format = AudioFormat(codec, chunk.sample_rate, bit_rate)
            encoder = create_encoder(audio_format, chunk.sample_rate)
        sys.stdout.buffer.write(encoder.feed(chunk.samples))
        sys.stdout.buffer.flush()
    if encoder is not None:
        sys.stdout.buffer.write(encoder.finish())


def _pipe_book(book: Path, given: argparse.Namespace) -> None:
    """Write a book to standard output, once it is whole: its chapters are known then."""
    with tempfile.TemporaryDirectory(prefix="kani-book-") as folder:
        given.output = Path(folder) / f"book.{given.format or 'mp3'}"
        audiobook.say_book(book, given)
        with given.output.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)


def _check(given: argparse.Namespace) -> None:
    """Raise for what would fail once the speech is made, before a voice is loaded."""
    from kani.core.request import validate
    from kani.core.types import SpeechRequest
    from kani.library.results import CODECS

    validate(SpeechRequest(speed=given.speed, emotion=given.emotion))
    if given.reference is not None:
        given.reference.open("rb").close()
    if given.output is None:
        find_player()
        return
    if given.output.suffix.lower() in (".m4b", ".m4a"):
        raise ValueError(f"{given.output}: made of a book only, an existing file {', '.join(ENDINGS)}")
    _check_output(given.output, CODECS)


def _check_output(output: Path, endings: Iterable[str]) -> None:
    from kani.library.results import ending_of

    ending_of(output, endings)
    if not os.path.isdir(output.parent):
        raise ValueError(f"-o {output}: there is no folder {output.parent}")


def _defaults(given: argparse.Namespace) -> dict[str, str]:
    """Return the settings that name a voice and a language: what no engine has is refused unloaded.

    A stored voice is looked for later: as a default it would have to have a language.
    """
    from kani.core.voices.store import CUSTOM_PREFIX

    named = {"voice": given.voice, "language": given.language}
    return {name: value for name, value in named.items() if value is not None and CUSTOM_PREFIX not in value}


def _listen(arguments: Sequence[str]) -> None:
    one = "one recording at a time; put a name with spaces in quotes"
    parser = _parser("listen", "Transcribe a recording.", extra=lambda _: one)
    parser.add_argument(
        "file", type=Path, help="recording: WAV, MP3, FLAC, Ogg, M4A, WebM, video …; - is standard input"
    )
    parser.add_argument("--language", metavar="TAG", help="such as es; detected if not given")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="names and words to expect")
    parser.add_argument("--recognizer", default="auto", metavar="NAME", help=f"as for {COMMAND} serve")
    elsewhere = "it listens on this machine; a server transcribes by POST /v1/audio/transcriptions"
    parser.add_argument("--server", type=refusing(elsewhere), help=argparse.SUPPRESS)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write .txt, or subtitles as .srt or .vtt"
    )
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument("--words", action="store_true", help="print each word with its times, in seconds")
    printed.add_argument(
        "--speakers",
        nargs="?",
        type=int,
        const=True,
        default=False,
        metavar="MOST",
        help="print who says what; MOST: number of the speakers, found if not given",
    )
    given = parser.parse_args(arguments)
    if given.language is not None:
        given.language = resolve(given.language)
    from kani.library.results import TRANSCRIPT_ENDINGS

    if given.output is not None:
        _check_output(given.output, TRANSCRIPT_ENDINGS)
    recording = _recording(given.file)
    if given.output is not None and given.words:
        parser.error("--words is printed only: give it without -o")
    with kani.Recognizer(given.recognizer) as recognizer, _named(given.file):
        imports_are_done()
        transcript = recognizer.transcribe(
            recording, language=given.language, prompt=given.prompt, speakers=given.speakers
        )
    if not transcript.text:
        print(f"{given.file}: no words were recognised", file=sys.stderr)
    elif given.output is not None:
        transcript.save(given.output)
    elif given.words:
        print(*transcript.words, sep="\n")
    else:
        print(transcript)


def _recording(file: Path) -> Path | IO[bytes]:
    """Return a recording that is there, or that of the standard input. Raises OSError."""
    if str(file) not in ("-", "/dev/stdin"):
        file.stat()
        return file
    # A file, as FFmpeg reads some recordings from their end.
    piped = tempfile.TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(sys.stdin.buffer, piped)
    piped.seek(0)
    return piped


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Have errors of a recording name its file."""
    try:
        yield
    except kani.InvalidRequest as error:
        name = str(file) if error.field == "file" else error.field
        raise ValueError(f"{name}: {error.reason}") from error


def _align(arguments: Sequence[str]) -> None:
    parser = _parser("align", "Find the words of a text in a recording.", extra=text_in_quotes)
    parser.add_argument("file", type=Path, help="recording, as of listen; - is standard input")
    parser.add_argument("text", help="what is said in it, or the name of a file with that")
    parser.add_argument("--language", metavar="TAG", help="such as es; the text's own if not given")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write .srt, .vtt, or the words as .json"
    )
    given = parser.parse_args(arguments)
    from kani.library.results import ALIGNED_ENDINGS

    if given.output is not None:
        _check_output(given.output, ALIGNED_ENDINGS)
    if given.language is not None:
        given.language = resolve(given.language)
    text_file = file_of(given.text)
    text = given.text if text_file is None else audiobook.text_of(text_file)
    recording = _recording(given.file)
    with kani.Recognizer() as recognizer, _named(given.file):
        imports_are_done()
        aligned = recognizer.align(recording, text, language=given.language)
    if not aligned.fits:
        print(f"{given.file}: the text does not fit: {aligned.confidence:.2f} of 1", file=sys.stderr)
    if given.output is not None:
        aligned.save(given.output)
    else:
        print(*aligned.words, sep="\n")


def _voices(arguments: Sequence[str]) -> None:
    parser = _parser("voices", "List the voices.", extra=extra_word("--language"))
    parser.add_argument("--language", metavar="TAG", help="only those of this language")
    parser.add_argument("--engine", default="auto", metavar="NAME", help=f"as for {COMMAND} serve")
    parser.add_argument("--server", metavar="URL", help="list those of this server")
    given = parser.parse_args(arguments)
    wanted = None if given.language is None else language_tag(given.language)
    with kani.Speech(given.engine) as speech:
        shown = [voice for voice in speech.voices if wanted in (None, voice.language.partition("-")[0])]
    if not shown:
        raise ValueError(f"--language {given.language}: no voice speaks it")
    rows = [(voice.id, voice.language, voice.gender, voice.engine, voice.name) for voice in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)).rstrip())
