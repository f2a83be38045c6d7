"""Passages in another script than the text's."""

import functools
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from kani_text import language_detection
from kani_text.languages import primary
from kani_text.writing import OPENERS

MAX_MARKS = 80
"""Marks that are held back, at most: combining ones, opening ones, and those after a quotation."""

MAX_DETECTION_TEXT = 80
"""Characters at the beginning of a passage that its language is detected by."""

MIN_LETTERS = 2
"""Letters of a passage: a single one ("π", "α") is a sign in the text's own language."""

_FOREIGN_TO_LATIN = re.compile(r"[\u0370-\u1dff\u1f00-\u1fff\u2c00-\ud7ff\uf900-\U000effff]")


@dataclass(frozen=True, slots=True)
class LanguageRun:
    """Text in one language; None is the language of the whole."""

    text: str
    language: str | None


class ScriptSplitter:
    """Text goes in as it comes, and comes out as runs in one language each.

    language: of the whole (BCP 47). spoken_languages: primary subtags of the languages that engines speak; a
    passage in any other stays with the text around it. Held back are an opening mark before a word, a single
    letter of another script, and the beginning of a passage until its language can be detected.
    """

    def __init__(self, language: str, spoken_languages: Collection[str]) -> None:
        self._own = language_detection.scripts_of(primary(language))
        self._spoken_languages = spoken_languages
        self._latin = "LATIN" in self._own
        self._language: str | None = None
        self._script: str | None = None
        self._held_back = ""

    def feed(self, text: str) -> list[LanguageRun]:
        """Add ``text``; returns what is certain by now."""
        return self._runs(text, complete=False)

    def flush(self) -> list[LanguageRun]:
        """Return what was held back, as if the text ended here."""
        return self._runs("", complete=True)

    def _runs(self, new: str, *, complete: bool) -> list[LanguageRun]:
        text, self._held_back = self._held_back + new, ""
        if self._latin and self._script is None and not _FOREIGN_TO_LATIN.search(text):
            return self._own_run(text, complete)
        runs: list[LanguageRun] = []
        while text:
            if self._script is None and (start := self._find_passage(text)) != 0:
                if start is None:
                    return runs + self._own_run(text, complete)
                runs.append(LanguageRun(text[:start], None))
                text = text[start:]
            run, text = self._split_passage(text, complete)
            if run is None:
                self._held_back = text
                break
            if run.text:
                runs.append(run)
        return runs

    def _split_passage(self, text: str, complete: bool) -> tuple[LanguageRun | None, str]:
        """Split off the part that belongs to the passage ``text`` begins with; None if that is uncertain."""
        end, ended = self._find_end(text)
        if self._script is None:
            if not (ended or complete) and len(text) < MAX_DETECTION_TEXT:
                return None, text
            self._enter_passage(text[:end])
        if ended:
            self._script = None
            return LanguageRun(text[:end], self._language), text[end:]
        # Characters after the last letter may belong to what follows.
        last = len(text) if complete or len(text) - end > MAX_DETECTION_TEXT else end
        return (LanguageRun(text[:last], self._language), text[last:]) if last else (None, text)

    def _enter_passage(self, passage: str) -> None:
        """Detect the language of a passage that begins; it is the text's own where no engine speaks it."""
        detected = language_detection.detect(passage[:MAX_DETECTION_TEXT], self._spoken_languages)
        self._language = (
            None if detected is None or language_detection.scripts_of(detected) & self._own else detected
        )
        self._script = next(script for character in passage if (script := self._foreign(character)))

    def _own_run(self, text: str, complete: bool) -> list[LanguageRun]:
        """Return a run; opening marks at its end, or a letter that may begin a passage, wait for more."""
        end = letter = len(text)
        if not complete:
            while letter and len(text) - letter < MAX_MARKS and _is_mark(text[letter - 1]):
                letter -= 1
            if letter and self._foreign(text[letter - 1]):
                end = letter - 1
            while end and len(text) - end < MAX_MARKS and text[end - 1] in OPENERS:
                end -= 1
        self._held_back = text[end:]
        return [LanguageRun(text[:end], None)] if end else []

    def _find_passage(self, text: str) -> int | None:
        """Index where the next passage begins, with its opening marks; None without one."""
        letters = begin = marks = 0
        for at, character in enumerate(text):
            if self._foreign(character):
                if not letters:
                    begin = at
                letters, marks = letters + 1, 0
                if letters == MIN_LETTERS:
                    while begin and text[begin - 1] in OPENERS:
                        begin -= 1
                    return begin
            elif _is_mark(character) and marks + 1 < MAX_MARKS:
                marks += 1
            else:
                letters = 0
        return None

    def _find_end(self, text: str) -> tuple[int, bool]:
        """End of the passage that ``text`` begins with, and whether more text cannot change it.

        The passage includes the marks that no white space separates from its last letter.
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
            elif open_ended and character not in OPENERS:
                end = at + 1
        return end, False

    def _foreign(self, character: str) -> str | None:
        """The script of a letter that is foreign to the text, if a language can be told by it."""
        if character.isascii():
            return None
        script = _script_of(character)
        return script if script is not None and script not in self._own else None


def _is_mark(character: str) -> bool:
    """True for a mark that combines with the letter before it."""
    return unicodedata.category(character)[0] == "M"


def _group(script: str | None) -> str | None:
    """A script, or the group of scripts that one language is written in together."""
    return "CJK" if script in ("HIRAGANA", "KATAKANA", "HANGUL") else script


@functools.lru_cache(maxsize=4096)
def _script_of(character: str) -> str | None:
    """The script of a letter that few languages are written in."""
    return language_detection.distinctive_script(character) if character.isalpha() else None
