"""Passages of a text that are written in another script than the rest, and so in another language.

"Dijo «добрый день» y se fue" is Spanish with a passage in Russian. Only scripts tell: of a passage in
the text's own script nobody can be sure, and words in Latin letters inside other writing (names, brands)
are left to the engine, which knows them or spells them.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from speech.text import language_detection
from speech.text.languages import primary

MIN_LETTERS = 2
"""Letters of a passage: a single one ("π", "α") is a sign of the text's own language."""

MAX_DETECTION_TEXT = 80
"""Characters of a passage that its language is told from at most."""

_OPENERS = "\"'«“‘‹([{¿¡"
_FOREIGN_TO_LATIN = re.compile(r"[\u0370-\u1dff\u1f00-\u1fff\u2c00-\ud7ff\uf900-\U000effff]")


@dataclass(frozen=True, slots=True)
class ForeignPassage:
    """Characters ``[start, end)`` of a client's text that somebody else than the session's speaker says."""

    start: int
    end: int
    language: str
    voice: str
    engine: str


@dataclass(frozen=True, slots=True)
class LanguageRun:
    """Some text, and the language of the passage that it belongs to; None is the text's own."""

    text: str
    language: str | None


class ScriptSplitter:
    """Text goes in as it comes, and comes out again in parts of one language each.

    language: the text's own (BCP 47); known: primary subtags of the languages somebody speaks; a passage
    in any other stays with the text around it. Held back are an opening mark before a word, a single
    letter of another script, and of a passage so much as tells its language.
    """

    def __init__(self, language: str, known: Collection[str]) -> None:
        self._own = language_detection.scripts_of(primary(language))
        self._known = known
        self._latin = "LATIN" in self._own
        self._language: str | None = None
        self._script: str | None = None
        self._held = ""

    def feed(self, text: str) -> list[LanguageRun]:
        """Take text; what is certain by now."""
        return self._parts(text, complete=False)

    def flush(self) -> list[LanguageRun]:
        """What was held back, as if the text ended here."""
        return self._parts("", complete=True)

    def _parts(self, new: str, *, complete: bool) -> list[LanguageRun]:
        text, self._held = self._held + new, ""
        if self._latin and self._script is None and not _FOREIGN_TO_LATIN.search(text):
            return self._own_part(text, complete)
        parts: list[LanguageRun] = []
        while text:
            if self._script is None and (begins := self._passage_at(text)) != 0:
                if begins is None:
                    return parts + self._own_part(text, complete)
                parts.append(LanguageRun(text[:begins], None))
                text = text[begins:]
            part, text = self._of_passage(text, complete)
            if part is None:
                self._held = text
                break
            if part.text:
                parts.append(part)
        return parts

    def _of_passage(self, text: str, complete: bool) -> tuple[LanguageRun | None, str]:
        """What of ``text`` belongs to the passage it begins with, and the rest; None if that is uncertain."""
        end, ended = self._end(text)
        if self._script is None:
            if not (ended or complete) and len(text) < MAX_DETECTION_TEXT:
                return None, text
            self._enter(text[:end])
        if ended:
            self._script = None
            return LanguageRun(text[:end], self._language), text[end:]
        # What is behind the last letter may belong to what follows.
        last = len(text) if complete or len(text) - end > MAX_DETECTION_TEXT else end
        return (LanguageRun(text[:last], self._language), text[last:]) if last else (None, text)

    def _enter(self, passage: str) -> None:
        """Find the language of the passage that begins so: the text's own where nobody speaks it."""
        told = language_detection.detect(passage[:MAX_DETECTION_TEXT], self._known)
        self._language = None if told is None or language_detection.scripts_of(told) & self._own else told
        self._script = next(script for character in passage if (script := self._foreign(character)))

    def _own_part(self, text: str, complete: bool) -> list[LanguageRun]:
        part, self._held = (LanguageRun(text, None), "") if complete else self._until_opener(text)
        return [part] if part is not None and part.text else []

    def _until_opener(self, text: str) -> tuple[LanguageRun, str]:
        """Text of its own language, up to opening marks at its end, or a letter that may begin a passage."""
        end = letter = len(text)
        while letter and unicodedata.category(text[letter - 1])[0] == "M":
            letter -= 1
        if letter and self._foreign(text[letter - 1]):
            end = letter - 1
        while end and text[end - 1] in _OPENERS:
            end -= 1
        return LanguageRun(text[:end], None), text[end:]

    def _passage_at(self, text: str) -> int | None:
        """Where the next passage begins, with the marks that open it; None if there is none."""
        letters, begin = 0, 0
        for at, character in enumerate(text):
            if self._foreign(character):
                if not letters:
                    begin = at
                letters += 1
                if letters == MIN_LETTERS:
                    while begin and text[begin - 1] in _OPENERS:
                        begin -= 1
                    return begin
            elif unicodedata.category(character)[0] != "M":
                letters = 0
        return None

    def _end(self, text: str) -> tuple[int, bool]:
        """Where the passage that ``text`` begins with ends, and whether more text cannot change that.

        It goes on to the last mark that no white space parts from its last letter.
        """
        end = 0
        open_ended = True
        script = _group(self._script)
        for at, character in enumerate(text):
            if (own := _group(self._foreign(character))) is not None:
                if own != (script or own):
                    return end, True
                script = own
                end, open_ended = at + 1, True
            elif character.isalpha():
                return end, True
            elif character.isspace():
                open_ended = False
            elif open_ended and character not in _OPENERS:
                end = at + 1
        return end, False

    def _foreign(self, character: str) -> str | None:
        """The script of a letter that is not of the text's own, if a language can be told from it."""
        if character.isascii():
            return None
        script = _script_of(character)
        return script if script is not None and script not in self._own else None


def _group(script: str | None) -> str | None:
    """A script, or the group of those that one language is written in together."""
    return "CJK" if script in ("HIRAGANA", "KATAKANA", "HANGUL") else script


@functools.lru_cache(maxsize=4096)
def _script_of(character: str) -> str | None:
    """The script of a letter that tells a language."""
    return language_detection.distinctive_script(character) if character.isalpha() else None
