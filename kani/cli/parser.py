"""Command lines: errors of one line that name the cure, and what an argument stands for: a text or a file."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from kani.books.book import ENDINGS as READABLE
from kani.cli.prerequisites import USAGE
from kani.cli.programs import COMMAND

SOUNDS = tuple(
    ".wav .mp3 .flac .opus .ogg .oga .aac .m4a .m4b .wma .aif .aiff .webm .mp4 .mkv .mov .avi".split()
)
ENDINGS = {
    *(*READABLE, *SOUNDS),
    *".pdf .doc .docx .docm .odt .rtf .tex .mobi .azw .azw3 .fb2 .djvu .pages .ppt .pptx .odp".split(),
    *".xls .xlsx .ods .csv .tsv .json .xml .yaml .yml .ssml .srt .vtt .rst .text .markdown .log .zip".split(),
    *".jpg .jpeg .png .gif .webp .svg".split(),
}
"""Endings of files that hold a text, a sound or a picture. Of the web's domains only ``.md`` is there."""

_PATH = re.compile(r"(?:\.{1,2}|~)[/\\]|[A-Za-z]:\\")
_LONGEST_PATH = 1024
_LONGEST_SHOWN = 300

_OTHERS_WORDS = {
    "--port": "-p --listen-port --tcp-port",
    "--host": "-H --address --bind --listen --ip --bind-address",
    "--server": "--url --uri --base-url --endpoint --host --port --address",
    "--log-level": "-v -q --verbose --quiet --debug --loglevel",
    "--version": "-V",
    "TEXT": "-f -i --file --input --input-file --text",
    "--output": "--format --response-format --out --output-file --write-media --outfile -O",
    "--speed": "-r -s --rate --tempo",
    "--api-key": "-k --key --token --api-keys",
    "--reference": "--clone --speaker-wav --ref-audio --prompt-audio",
    "--language": "-l --lang --locale --idioma",
    "--voice": "--speaker --voice-id --voz",
    "--tls-cert": "--cert --ssl-certfile --certfile",
    "--tls-key": "--ssl-keyfile --keyfile",
    "--fetch": "--download --pull",
    "--recognizer": "--stt --asr",
    "--llm": "--ollama --chat",
    "--http": "-p --port",
}
"""Names that other programs give to each option or setting."""


class Parser(argparse.ArgumentParser):
    """Names an error in one line, without the options before it, which fill a page.

    extra: what to do about an argument that has no place. elsewhere: returns the names of what is no option
    here, each with its cure: ``--lexicon`` is set by KANI_LEXICON.
    """

    def __init__(
        self,
        *,
        extra: Callable[[str], str] = lambda _: "",
        elsewhere: Callable[[], Mapping[str, str]] = dict,
        **given: Any,
    ) -> None:
        super().__init__(allow_abbrev=False, **given)
        self._extra, self._elsewhere = extra, elsewhere

    def error(self, message: str) -> NoReturn:
        """Print the line, and end the program."""
        unknown = re.match(r"unrecognized arguments: (.*)", message, re.DOTALL)
        hint = self._hint(unknown[1].split()) if unknown else ""
        # An argument may be a page.
        line = " ".join(message.split())
        line = line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]} …"
        self.exit(USAGE, f"{self.prog}: {line}{hint and f'; {hint}'}; --help lists the options\n")

    def _hint(self, words: Sequence[str]) -> str:
        """Return the cure of arguments that have no place, "" where none is known."""
        option = next((each.partition("=")[0] for each in words if each[0] == "-" and each != "-"), None)
        if any(each[0] in "–—" for each in words):
            return "an option begins with hyphens (-), not with a dash"
        if option is None:
            return self._extra(words[0]) if words else ""
        elsewhere = self._elsewhere()
        shown = [action for action in self._actions if action.help is not argparse.SUPPRESS]
        known = [name for action in shown for name in (action.option_strings or (action.dest.upper(),))]
        meant = [name for name, others in _OTHERS_WORDS.items() if option in others.split() and name in known]
        if not meant and option in elsewhere:
            return elsewhere[option]
        meant += [each for each in known if len(option) > 3 and each.startswith(option)]
        # The dashes would make all of them alike.
        bare = {each.strip("-"): each for each in known}
        meant += [bare[each] for each in difflib.get_close_matches(option.strip("-"), bare, 1, 0.7)]
        if meant:
            return "name the file itself" if meant[0] == "TEXT" else f"did you mean {meant[0]}?"
        near = difflib.get_close_matches(option, elsewhere, 1, 0.8)
        if near:
            return f"{near[0]}? {elsewhere[near[0]]}"
        return "" if option.startswith("--") or len(option) == 2 else self._extra(option)

    def options_of(self, arguments: Sequence[str]) -> dict[str, str]:
        """Return the options of a command line as they are written there, by their destinations."""
        written = [each.partition("=")[0] for each in arguments if each.startswith("-")]
        actions = self._option_string_actions
        return {actions[each].dest: each for each in written if each in actions}


def refusing(sentence: str) -> Callable[[str], NoReturn]:
    """Return the type of an option that is always wrong, for the reason of a sentence."""

    def refuse(_: str) -> NoReturn:
        raise argparse.ArgumentTypeError(sentence)

    return refuse


def language_tag(written: str) -> str:
    """Return the primary subtag of a language's tag, code or name. Raises ValueError."""
    try:
        from kani_text.errors import UnsupportedLanguage
        from kani_text.languages import primary, resolve
    except ImportError:  # a client's environment, without Babel
        return written.partition("-")[0].lower()
    try:
        return primary(resolve(written))
    except UnsupportedLanguage as error:
        raise ValueError(f"--language: {error.reason}") from error


def extra_word(option: str) -> Callable[[str], str]:
    """Return what to do about an extra argument where an option takes such a word."""
    return lambda word: "" if word[0] == "-" else f"did you mean {option} {word}?"


def number(written: str) -> float:
    """Return an option's number. Raises ArgumentTypeError."""
    try:
        return float(written)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{written!r} is no number, such as 1.5") from None


def text_in_quotes(word: str) -> str:
    """Return the cure of a text in several arguments, or of one that begins like an option."""
    return f"put -- before a text that begins with {word[0]}" if word[0] == "-" else "put the text in quotes"


def file_of(argument: str) -> Path | None:
    """Return the file that an argument names, None where it is a text to speak.

    A file is there, and has an ending or stands in a named folder; or it is not there, and the argument is
    written as one: it has the ending of a text, a book, a document or a sound, and a folder or no space.
    Raises ValueError for a file that is not there or that is none of ``READABLE``.
    """
    written = argument.strip().strip("\"'<>").strip()
    if len(written) > _LONGEST_PATH or not written.isprintable():
        return None
    path = Path(written)
    ending = path.suffix.lower()
    in_folder = "/" in written or "\\" in written
    named = ending in ENDINGS and (in_folder or " " not in written)
    like_a_file = named or bool(_PATH.match(written))
    if "://" in written:
        if like_a_file and " " not in written:
            raise ValueError(f"{written} is an address: save its text as a file, and name that")
        return None
    there = os.path.exists(path) and bool(ending or in_folder)
    if there and path.is_dir():
        raise ValueError(f"{written} is a folder: name a file {', '.join(READABLE)}")
    if there and ending in SOUNDS:
        raise ValueError(f"{written} is a sound, no text: {COMMAND} listen transcribes it")
    if there and ending not in READABLE:
        kind = ending or "a file without an ending"
        raise ValueError(f"{written}: {kind} is no book that can be read: {', '.join(READABLE)} are")
    if like_a_file and not there:
        raise ValueError(f"there is no file {written}; to speak these words, give them by standard input")
    return path if there else None


def standard_input() -> str:
    """Return the text that comes by standard input. Raises ValueError."""
    if sys.stdin is None:
        return ""
    if sys.stdin.isatty():
        print("Type the text and end it with Ctrl+D.", file=sys.stderr)
    data = sys.stdin.buffer.read()
    with suppress(UnicodeDecodeError):
        if b"\0" not in data:  # which UTF-16 has, too
            return data.decode("utf-8-sig")
    raise ValueError("standard input is not UTF-8 text")
