"""The server's lexicon: files of words and how they are said, read anew when they change.

One entry a line, ``word = said`` (or a tab in place of the sign); ``[es]`` says for which language those
below it count, ``[*]`` for all, as those before any; what begins with ``#`` is a comment.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from speech.errors import UnsupportedLanguage
from speech.text.languages import resolve
from speech.text.lexicon import Lexicon, LexiconTable, parse_entry, validate_word

logger = logging.getLogger(__name__)

MAX_BYTES = 2**20
"""Of one file."""

MAX_FILES = 100
"""Of one folder."""

MAX_ENTRIES = 20_000
"""Of all files together."""

CHECK_INTERVAL_S = 1.0
"""How often it is looked whether the files have changed, at most."""

ALL_LANGUAGES = "*"

_PROBLEMS_TOLD = 20
_COMMENT = re.compile(r"\s+#.*")
_LANGUAGE = re.compile(r"\[\s*([^\[\]]*?)\s*\]")

_Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class LexiconProblem:
    """A line that does not count, or counts otherwise than its writer may think."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


class LexiconFile:
    """A file of entries, or a folder of them (``*.txt``, by name), as it was when it was last readable.

    In a folder the entries of a file that is named as a language (``es.txt``, ``es-MX.txt``) count for
    that language, before any line that says another. Nothing is known before ``refresh``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sections: dict[str, LexiconTable] = {}
        self._signature: _Signature | None = None
        self._failure = ""
        self._checked_at = float("-inf")
        self._loading = threading.Lock()

    def for_language(self, tag: str) -> Lexicon:
        """The entries that count for a BCP 47 tag: its own, then those of its language, then everybody's."""
        sections = self._sections
        parts = tag.lower().split("-")
        names = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
        return Lexicon(tuple(sections[name] for name in [*names, ALL_LANGUAGES] if name in sections))

    async def refresh(self) -> None:
        """Read the files anew if they have changed since, which is looked at once a second at most.

        In a thread; who comes while another looks goes on with what is known. Bad lines, and files that
        cannot be read, are told to the log; these leave what is known as it is.
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
                # What changes while it is read has another signature the next time.
                self._load(files)
                self._signature = signature
            self._failure = ""
        except OSError as error:
            self._tell_failure(error)
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
        reading = LexiconParser()
        for file in files:
            with file.open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise OSError(f"{file.name} is larger than {MAX_BYTES} bytes")
            language = _language_of(file.stem) if self._path.is_dir() else ALL_LANGUAGES
            reading.parse(content, file.name, language or ALL_LANGUAGES)
        self._sections = reading.sections
        for problem in reading.problems[:_PROBLEMS_TOLD]:
            logger.warning("lexicon: %s", problem)
        if len(reading.problems) > _PROBLEMS_TOLD:
            logger.warning("lexicon: %d more such lines", len(reading.problems) - _PROBLEMS_TOLD)
        logger.info("lexicon: %d entries of %s", sum(map(len, self._sections.values())), self._path)

    def _tell_failure(self, error: OSError) -> None:
        """Once for each reason: it is looked at every second."""
        if self._failure != (failure := str(error)):
            self._failure = failure
            logger.warning("lexicon: cannot be read, what was read before still counts: %s", failure)


class LexiconParser:
    """What several files say."""

    def __init__(self) -> None:
        self.sections: dict[str, LexiconTable] = {}
        self.problems: list[LexiconProblem] = []
        self._entries = 0

    def parse(self, content: bytes, file: str, language: str) -> None:
        """Take the entries of one file, those before any section for ``language``."""
        section: str | None = language
        for number, line in _lines(content):
            try:
                text = line.decode()
                if header := _LANGUAGE.fullmatch(_COMMENT.sub("", text)):
                    section = _section(header[1])
                    if section is None:
                        raise ValueError(f"unknown language {header[1]!r}; the entries below it do not count")
                elif section is not None:
                    self._add(section, text)
            except UnicodeDecodeError:
                self.problems.append(LexiconProblem(file, number, "is not UTF-8"))
            except ValueError as error:
                self.problems.append(LexiconProblem(file, number, str(error)))

    def _add(self, section: str, text: str) -> None:
        word, sign, how = text.partition("\t" if "\t" in text else "=")
        if not sign:
            raise ValueError("has neither a tab nor = between a word and how it is said")
        word, entry = validate_word(word), parse_entry(_COMMENT.sub("", how.strip()))
        if self._entries >= MAX_ENTRIES:
            raise ValueError(f"is one entry too many (at most {MAX_ENTRIES})")
        if self.sections.setdefault(section, LexiconTable()).add(word, entry):
            raise ValueError(f"says {word!r} another time; this one counts")
        self._entries += 1


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines with anything in them, and their numbers."""
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        # The tab between a word and what it says may stand at either end: that is a bad line.
        stripped = line.strip(b" \r\n")
        if stripped.strip() and not stripped.lstrip().startswith(b"#"):
            yield number, stripped


def _section(name: str) -> str | None:
    return ALL_LANGUAGES if name == ALL_LANGUAGES else _language_of(name)


def _language_of(name: str) -> str | None:
    """The tag, in small letters, of a language by any of its names."""
    try:
        return resolve(name).lower()
    except UnsupportedLanguage:
        return None


def _signature(file: Path) -> tuple[str, int, int, int]:
    status = file.stat()
    return file.name, status.st_mtime_ns, status.st_size, status.st_ino
