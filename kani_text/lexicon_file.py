"""The server's lexicon: files of words and their pronunciations, reloaded when they change.

One entry a line, ``word = pronunciation`` (or a tab instead of the sign). ``[es]`` sets the language of the
entries below it, ``[*]`` is for all languages, as are the entries before any such line. A line that begins
with ``#`` is a comment.
"""

import asyncio
import codecs
import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kani_text.errors import UnsupportedLanguage
from kani_text.foreign.files import read_regular
from kani_text.languages import resolve
from kani_text.lexicon import Lexicon, LexiconTable, parse_entry, validate_word

logger = logging.getLogger(__name__)

MAX_BYTES = 2**20
"""Size of one file."""

MAX_FILES = 100
"""Files in one folder."""

MAX_ENTRIES = 20_000
"""Entries of all files together."""

CHECK_INTERVAL_S = 1.0
"""Least time between two checks for changes."""

ALL_LANGUAGES = "*"

_MAX_LOGGED_PROBLEMS = 20
_COMMENT = re.compile(r"(?<!\s)\s+#.*")  # from the start of a run only: a long one is not tried n times
_SECTION = re.compile(r"\[([^\[\]]*)\]")

_Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class LexiconProblem:
    """A line that is ignored, or that replaces another."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


class LexiconFile:
    """A file of entries, or a folder of them (``*.txt``, by name), as of its last readable state.

    In a folder the entries of a file that is named as a language (``es.txt``, ``es-MX.txt``) are for that
    language, before any line that sets another. It is empty before ``refresh``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sections: dict[str, LexiconTable] = {}
        self._signature: _Signature | None = None
        self._failure = ""
        self._checked_at = float("-inf")
        self._loading = threading.Lock()

    def for_language(self, tag: str) -> Lexicon:
        """The entries for a BCP 47 tag: its own, then those of its language, then those for all languages."""
        sections = self._sections
        parts = tag.lower().split("-")
        names = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
        return Lexicon(tuple(sections[name] for name in [*names, ALL_LANGUAGES] if name in sections))

    async def refresh(self) -> None:
        """Reload the files if they have changed, which is checked once a second at most.

        Runs in a thread; callers that come meanwhile go on with the entries that are loaded. Bad lines and
        unreadable files are logged; unreadable files leave the entries as they are.
        """
        now = time.monotonic()
        if now - self._checked_at >= CHECK_INTERVAL_S:
            self._checked_at = now
            await asyncio.to_thread(self._check)

    def _check(self) -> None:
        if not self._loading.acquire(blocking=False):
            return
        try:
            files = self._files()
            signature = tuple(map(_signature, files))
            if signature != self._signature:
                # A change during the load gives another signature at the next check.
                self._load(files)
                self._signature = signature
            self._failure = ""
        except OSError as error:
            self._log_failure(error)
        finally:
            self._loading.release()

    def _files(self) -> list[Path]:
        if not self._path.is_dir():
            return [self._path]
        files = sorted(file for file in self._path.glob("*.txt") if file.is_file())
        if len(files) > MAX_FILES:
            raise OSError(f"more than {MAX_FILES} files")
        return files

    def _load(self, files: Sequence[Path]) -> None:
        parser = LexiconParser()
        for file in files:
            content = read_regular(file, MAX_BYTES)
            language = _find_language(file.stem) if self._path.is_dir() else ALL_LANGUAGES
            parser.parse(content, file.name, language or ALL_LANGUAGES)
        self._sections = parser.sections
        for problem in parser.problems[:_MAX_LOGGED_PROBLEMS]:
            logger.warning("lexicon: %s", problem)
        if len(parser.problems) > _MAX_LOGGED_PROBLEMS:
            logger.warning("lexicon: %d more such problems", len(parser.problems) - _MAX_LOGGED_PROBLEMS)
        entries = sum(map(len, self._sections.values()))
        level = logging.INFO if entries else logging.WARNING
        logger.log(level, "lexicon: loaded %d entries from %s", entries, self._path)

    def _log_failure(self, error: OSError) -> None:
        """Log a failure once for each reason: the files are checked every second."""
        if self._failure != (failure := str(error)):
            self._failure = failure
            kept = "the entries stay as they are" if self._signature else "it has no entries"
            logger.warning("lexicon: cannot be read, %s: %s", kept, failure)


class LexiconParser:
    """Parses files into tables by language."""

    def __init__(self) -> None:
        self.sections: dict[str, LexiconTable] = {}
        self.problems: list[LexiconProblem] = []
        self._entries = 0

    def parse(self, content: bytes, file: str, language: str) -> None:
        """Parse one file; entries before any section are for ``language``."""
        section: str | None = language
        for number, line in _lines(content):
            try:
                text = line.decode()
                if header := _SECTION.fullmatch(_COMMENT.sub("", text)):
                    section = _section(name := header[1].strip())
                    if section is None:
                        raise ValueError(f"unknown language {name[:40]!r}; the entries below it are ignored")
                elif section is not None:
                    self._add(section, text)
            except UnicodeDecodeError:
                self.problems.append(LexiconProblem(file, number, "is not UTF-8"))
            except ValueError as error:
                self.problems.append(LexiconProblem(file, number, str(error)))

    def _add(self, section: str, text: str) -> None:
        word, sign, pronunciation = text.partition("\t" if "\t" in text else "=")
        if not sign:
            raise ValueError("has neither a tab nor = between a word and its pronunciation")
        word, entry = validate_word(word), parse_entry(_COMMENT.sub("", pronunciation.strip()))
        if self._entries >= MAX_ENTRIES:
            raise ValueError(f"exceeds the limit of {MAX_ENTRIES} entries")
        if self.sections.setdefault(section, LexiconTable()).add(word, entry):
            raise ValueError(f"repeats {word!r}; this line applies")
        self._entries += 1


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that are neither empty nor comments, with their numbers."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # Windows PowerShell's ``>`` writes UTF-16.
        content = content.decode("utf-16", "replace").encode()
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        # A tab at either end is kept: with nothing before or after it, the line is a bad entry.
        stripped = line.strip(b" \r\n")
        if stripped.strip() and not stripped.lstrip().startswith(b"#"):
            yield number, stripped


def _section(name: str) -> str | None:
    return ALL_LANGUAGES if name == ALL_LANGUAGES else _find_language(name)


def _find_language(name: str) -> str | None:
    """The lower-case tag of a language by any of its names, or None."""
    try:
        return resolve(name).lower()
    except UnsupportedLanguage:
        return None


def _signature(file: Path) -> tuple[str, int, int, int]:
    status = file.stat()
    return file.name, status.st_mtime_ns, status.st_size, status.st_ino
