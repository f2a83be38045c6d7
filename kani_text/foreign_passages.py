"""Splits text by language: passages in another script, and quotations in another language in the same script.

"Dijo «добрый день» y se fue" is Spanish with a passage in Russian, 'Dijo "see you later, my friend"' one in
English. Of the text's own script only quotations and brackets of three words and more are told apart, where
the evidence is clear: a single word or a name stays with the text. Words in Latin letters inside other
scripts (names, brands) are left to the engine, which knows them or spells them.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from kani_text import language_detection
from kani_text.languages import primary
from kani_text.writing import OPENERS

MIN_LETTERS = 2
"""Letters of a passage: a single one ("π", "α") is a sign in the text's own language."""

MAX_MARKS = 80
"""Marks that are held back, at most: combining ones, opening ones, and those after a quotation."""

MAX_DETECTION_TEXT = 80
"""Characters at the beginning of a passage that its language is detected by."""

LEAST_WORDS, DECIDING_WORDS = 3, 8
"""Least words of a quotation that is told apart, and words that decide its language before it ends."""

CLEAR_PROBABILITY = 0.8
"""Least probability of a quotation's language, while the text's own is expected."""

_QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»", "»": "«", "(": ")"}
"""Marks that open a quotation or a bracket, and those that close it."""

_OPENING = re.compile(f"[{re.escape(''.join(_QUOTES))}]")
_CLOSING = {opening: re.compile(rf"[{re.escape(closing)}]|\n") for opening, closing in _QUOTES.items()}
_CLOSERS_ONLY = frozenset("”»“)")
"""Marks after which no quotation opens at once, as a straight mark there closes one."""

_WORDS = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_ENOUGH_WORDS = re.compile(rf"(?:[\W\d_]*{_WORDS.pattern}(?=['’-]?(?:[^\w'’-]|[\d_]))){{{DECIDING_WORDS}}}")

_FOREIGN_TO_LATIN = re.compile(r"[\u0370-\u1dff\u1f00-\u1fff\u2c00-\ud7ff\uf900-\U000effff]")


@dataclass(frozen=True, slots=True)
class ForeignPassage:
    """Characters ``[start, end)`` of a client's text that another voice than the session's speaks."""

    start: int
    end: int
    language: str
    voice: str
    engine: str


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


class QuotationSplitter:
    """Splits text in Latin letters where a quotation or a bracket is in another language.

    language: of the text (BCP 47). spoken_languages: primary subtags of those that engines speak. A
    quotation is held back until its closing mark, or ``DECIDING_WORDS`` of it: then its language is decided,
    and the rest comes as it is fed. It includes its marks, and those that no white space separates from them;
    it ends with its line at the latest.
    """

    def __init__(self, language: str, spoken_languages: Collection[str]) -> None:
        self._own = primary(language)
        self._spoken_languages = spoken_languages
        self._before = ""
        """The last character that was given out."""
        self._closing: re.Pattern[str] | None = None
        """The end of the quotation that is open; None outside of quotations."""
        self._decided = False
        """True if the language of the quotation is known."""
        self._language: str | None = None
        """The language of the quotation; None if it is the text's own."""
        self._held_back = ""

    def feed(self, text: str) -> list[LanguageRun]:
        """Add ``text``; returns what is certain by now."""
        return self._runs(text, complete=False)

    def flush(self) -> list[LanguageRun]:
        """Return what was held back, as if the text ended here."""
        return self._runs("", complete=True)

    def interrupt(self) -> list[LanguageRun]:
        """Return what was held back: a passage in another script follows.

        A mark that touches the end of that closes a quotation, and opens none.
        """
        runs = self.flush()
        self._before = "x"
        return runs

    def _runs(self, new: str, *, complete: bool) -> list[LanguageRun]:
        text, self._held_back = self._held_back + new, ""
        runs: list[LanguageRun] = []
        while text:
            if self._closing is None:
                opening = _find_opening(text, self._before)
                end, language = opening.start() if opening else len(text), None
                self._closing, self._decided = opening and _CLOSING[opening.group()], False
            else:
                end, language = self._inside(text, complete), self._language
                if not end and self._closing is not None:
                    self._held_back = text
                    break
            if end:
                runs.append(LanguageRun(text[:end], language))
                self._before = text[end - 1]
            text = text[end:]
        if complete:
            self._closing = None
        return runs

    def _inside(self, text: str, complete: bool) -> int:
        """The characters that are certain of the quotation that ``text`` begins with, or goes on with."""
        assert self._closing is not None
        start = 0 if self._decided else 1
        found = self._closing.search(text, start)
        end = found.start() if found else len(text)
        if not self._decided:
            limit = min(end, start + MAX_DETECTION_TEXT)
            enough = _ENOUGH_WORDS.match(text, start, limit)
            if not (found or enough or complete or limit < end):
                return 0
            self._language = self._detected(text[start : enough.end() if enough else limit])
            self._decided = True
        if found is None:
            return end
        closed = end if found.group() == "\n" else _end_of_marks(text, found.end())
        if closed == len(text) < found.end() + MAX_MARKS and not complete:
            # Further marks may belong to it.
            return end
        self._closing = None
        return closed

    def _detected(self, quotation: str) -> str | None:
        """The language of a quotation if it is clearly another than the text's."""
        if len(_WORDS.findall(quotation)) < LEAST_WORDS:
            return None
        own = (self._own,)
        detected = language_detection.detect(quotation, self._spoken_languages, CLEAR_PROBABILITY, own)
        if detected is None or detected == self._own:
            return None
        shares = language_detection.common_word_shares(quotation)
        return detected if shares.get(detected, 0.0) > shares.get(self._own, 0.0) else None


def _end_of_marks(text: str, start: int) -> int:
    """The end of the marks that begin at ``start``, ``MAX_MARKS`` at most."""
    most = min(len(text), start + MAX_MARKS)
    return next((at for at in range(start, most) if text[at].isalnum() or text[at].isspace()), most)


def _find_opening(text: str, before: str) -> re.Match[str] | None:
    """The first mark that opens a quotation or a bracket; before: the character before the text."""
    for found in _OPENING.finditer(text):
        at = found.start()
        last = text[at - 1] if at else before
        if not (last.isalnum() or last in _CLOSERS_ONLY):
            return found
    return None


def has_words(text: str) -> bool:
    """True for a text of at least two words, which show a language."""
    return len(_WORDS.findall(text)) > 1


def outside_quotations(text: str) -> str:
    """The text without what stands in quotation marks or brackets, at its end also in open ones."""
    kept, rest = "", text
    while (opening := _find_opening(rest, kept[-1:])) is not None:
        kept += rest[: opening.start()]
        closing = _CLOSING[opening.group()].search(rest, opening.end())
        rest = rest[closing.end() :] if closing else ""
    return kept + rest


class LanguageSplitter:
    """Text goes in as it comes, and comes out as runs in one language each, by script and by quotation.

    quotations: True if those in another language of the text's own script are told apart.
    """

    def __init__(self, language: str, spoken_languages: Collection[str], *, quotations: bool = True) -> None:
        self._scripts = ScriptSplitter(language, spoken_languages)
        latin = language_detection.scripts_of(primary(language)) == {"LATIN"}
        apart = quotations and latin and len(spoken_languages) > 1
        self._quotations = QuotationSplitter(language, spoken_languages) if apart else None

    def feed(self, text: str) -> list[LanguageRun]:
        """Add ``text``; returns what is certain by now."""
        return self._split(self._scripts.feed(text))

    def flush(self) -> list[LanguageRun]:
        """Return what was held back, as if the text ended here."""
        runs = self._split(self._scripts.flush())
        return runs + self._quotations.flush() if self._quotations else runs

    def _split(self, runs: list[LanguageRun]) -> list[LanguageRun]:
        if self._quotations is None:
            return runs
        found: list[LanguageRun] = []
        for run in runs:
            if run.language is None:
                found += self._quotations.feed(run.text)
            else:
                found += [*self._quotations.interrupt(), run]
        return found


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
