"""``kani-tts say``, ``listen`` and ``voices``: the library, or with ``--server`` the client of a server."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import kani
from kani.books.reading import ENDINGS
from kani.cli import audiobook, broken_pipe
from kani.cli.parser import Parser
from kani.cli.prerequisites import CANNOT_START, INTERRUPTED, USAGE
from kani.cli.sound import CommandFailed, find_player
from kani.core.audio.encoding import AudioFormat, Encoder, create_encoder
from kani.core.audio.pcm import pcm16
from kani.core.request import validate
from kani.core.types import SpeechChunk, SpeechRequest
from kani.core.voices.store import CUSTOM_PREFIX
from kani.library.results import TRANSCRIPT_ENDINGS, codec_of, ending_of
from kani.text.languages import resolve

_WRONG = (kani.InvalidRequest, ValueError, FileNotFoundError, IsADirectoryError, NotADirectoryError)
"""Errors of what the command line names."""
_OPTION = re.compile(r"^(?=(?:engine|recognizer|voice|language|speed|emotion)\b[:=])")
"""Place of the dashes of an option, before the setting or the field that an error names."""
_FORMATS = ("wav", "mp3", "flac", "opus", "ogg", "aac", "m4b", "m4a")


def main(command: str, arguments: Sequence[str]) -> int:
    """Run a command; return its exit code: 0 done, 1 failed, 2 usage, 130 interrupted."""
    if command != "listen" and any(each.partition("=")[0] == "--server" for each in arguments):
        from kani.cli import client

        return client.main([*(["--voices"] if command == "voices" else []), *arguments])
    try:
        {"say": _say, "listen": _listen, "voices": _voices}[command](arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (kani.SpeechError, CommandFailed, OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError) and broken_pipe.reader_has_gone():
            raise
        sentence = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            sentence = f"{error.filename}: {error.strerror}"
        print(f"kani-tts {command}: {_OPTION.sub('--', sentence)}", file=sys.stderr)
        lasting = isinstance(error, kani.EngineUnavailable) and not error.passing
        return USAGE if lasting or isinstance(error, _WRONG) else CANNOT_START
    return 0


def _parser(command: str, description: str) -> Parser:
    return Parser(prog=f"kani-tts {command}", description=description, allow_abbrev=False)


def _say(arguments: Sequence[str]) -> None:
    parser = _parser("say", "Speak a text, without a server.")
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
    parser.add_argument("--voice", metavar="ID", help="such as ef_dora; kani-tts voices lists them")
    parser.add_argument("--language", metavar="TAG", help="such as es; the text's own if not given")
    parser.add_argument("--speed", type=float, metavar="FACTOR", help="0.25 to 4.0")
    parser.add_argument("--emotion", metavar="NAME", help="such as happy, or happy:0.5,calm:0.5")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="recording of a voice to imitate")
    parser.add_argument("--engine", default="auto", metavar="NAME", help="as for kani-tts serve")
    parser.add_argument(
        "--server",
        metavar="URL",
        help="let this server speak; then the options are those of kani-tts say --server URL --help",
    )
    audiobook.add_options(parser)
    given = parser.parse_args(arguments)
    piped = given.piped = str(given.output) in ("-", "/dev/stdout")
    if given.format and not piped:
        parser.error("--format is for -o -: of a file the ending of its name decides")
    if piped and (sys.stdout is None or sys.stdout.isatty()):
        parser.error(f"-o {given.output}: pipe the standard output into a program, or into a file")
    if book := audiobook.book_file(given.text):
        if piped and not given.chapters:
            if given.subtitles:
                parser.error("--subtitles are written beside a file, such as -o book.m4b")
            _pipe_book(book, given)
        else:
            audiobook.say_book(book, given)
        return
    if piped:
        given.output = Path(f"speech.{given.format or 'wav'}")
    if given.chapters or given.chapter_voice or given.subtitles:
        parser.error("--chapters, --chapter-voice and --subtitles are for books, such as book.epub")
    text = sys.stdin.read() if given.text == "-" else given.text
    if not text.strip():
        parser.error("there is no text to speak")
    if given.language is not None:
        given.language = resolve(given.language)
    how = {name: getattr(given, name) for name in ("voice", "language", "speed", "emotion", "reference")}
    _check(given)
    with kani.Speech(given.engine, **_defaults(given)) as speech:
        if piped and not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
            _pipe(speech.stream(text, **how), given.output)
            return
        if piped:
            sys.stdout.buffer.write(speech.say(text, **how).encoded(given.output))
            return
        if given.output is not None:
            audio = speech.say(text, **how)
            audio.save(given.output)
            print(f"{given.output}: {audio.duration_s:.2f} s of speech by {audio.voice}", file=sys.stderr)
            return
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
    codec, bit_rate = codec_of(form)
    encoder: Encoder | None = None
    for chunk in chunks:
        if encoder is None:
            audio_format = AudioFormat(codec, codec, chunk.sample_rate, bit_rate, "")
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
    validate(SpeechRequest(speed=given.speed, emotion=given.emotion))
    if given.reference is not None:
        given.reference.open("rb").close()
    if given.output is None:
        find_player()
        return
    if given.output.suffix.lower() in (".m4b", ".m4a"):
        raise ValueError(f"{given.output}: made of a book only, an existing file {', '.join(ENDINGS)}")
    codec_of(given.output)
    _check_folder(given.output)


def _check_folder(output: Path) -> None:
    if not output.parent.is_dir():
        raise ValueError(f"-o {output}: there is no folder {output.parent}")


def _defaults(given: argparse.Namespace) -> dict[str, str]:
    """Return the settings that name a voice and a language: what no engine has is refused unloaded.

    A stored voice is looked for later: as a default it would have to have a language.
    """
    named = {"voice": given.voice, "language": given.language}
    return {name: value for name, value in named.items() if value is not None and CUSTOM_PREFIX not in value}


def _listen(arguments: Sequence[str]) -> None:
    parser = _parser("listen", "Transcribe a recording.")
    parser.add_argument(
        "file", type=Path, help="recording: WAV, MP3, FLAC, Ogg, M4A, WebM, video …; - is standard input"
    )
    parser.add_argument("--language", metavar="TAG", help="such as es; detected if not given")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="names and words to expect")
    parser.add_argument("--recognizer", default="auto", metavar="NAME", help="as for kani-tts serve")
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
    if given.output is not None:
        if given.words:
            parser.error("--words is printed only: give it without -o")
        ending_of(given.output, TRANSCRIPT_ENDINGS)
        _check_folder(given.output)
    recording: Path | IO[bytes] = given.file
    if str(given.file) in ("-", "/dev/stdin"):
        # A file, as FFmpeg reads some recordings from their end.
        recording = tempfile.TemporaryFile()  # noqa: SIM115
        shutil.copyfileobj(sys.stdin.buffer, recording)
        recording.seek(0)
    with kani.Recognizer(given.recognizer) as recognizer:
        transcript = recognizer.transcribe(
            recording, language=given.language, prompt=given.prompt, speakers=given.speakers
        )
    if not transcript.text:
        print(f"{given.file}: no words were recognised", file=sys.stderr)
    elif given.output is not None:
        transcript.save(given.output)
    elif given.words:
        for word in transcript.words:
            print(f"{word.start_s:8.2f} {word.end_s:8.2f}  {word.text}")
    else:
        print(transcript)


def _voices(arguments: Sequence[str]) -> None:
    parser = _parser("voices", "List the voices.")
    parser.add_argument("--language", metavar="TAG", help="only those of this language")
    parser.add_argument("--engine", default="auto", metavar="NAME", help="as for kani-tts serve")
    parser.add_argument("--server", metavar="URL", help="list those of this server")
    given = parser.parse_args(arguments)
    with kani.Speech(given.engine) as speech:
        voices = speech.voices
    wanted = given.language and given.language.partition("-")[0]
    shown = [voice for voice in voices if wanted in (None, voice.language.partition("-")[0])]
    rows = [(voice.id, voice.language, voice.gender, voice.engine, voice.name) for voice in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)).rstrip())
