"""Quotations and brackets in another language of the text's script."""

import re
from collections.abc import Collection

from kani_text import language_detection
from kani_text.foreign_passages.scripts import MAX_DETECTION_TEXT, MAX_MARKS, LanguageRun
from kani_text.language_detection import MIN_PROBABILITY
from kani_text.languages import primary
from kani_text.markup import MASK

LEAST_WORDS = 3
"""Least words of a passage in the text's own script that is told apart; two in quotation marks are enough
where their language is clear."""

CLEAR = 0.8
"""Least probability of the language of two words, or of a clause that no marks enclose."""

DECIDING_WORDS = 8
"""Words of a quotation that decide its language before it ends."""

WORDS = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»", "»": "«", "‹": "›", "›": "‹", "(": ")", "[": "]"}
QUOTES |= dict(zip("「『《〈【（［", "」』》〉】）］", strict=True))
"""Marks that open a quotation or a bracket, and those that close it."""

_OPENING = re.compile(f"[{re.escape(''.join(QUOTES))}]")
_CLOSING = {opening: re.compile(rf"[{re.escape(closing)}]|\n") for opening, closing in QUOTES.items()}
_CLOSERS_ONLY = frozenset("”»“›)]」』》〉】）］")
"""Marks after which no quotation opens at once, as a straight mark there closes one."""
_MARKS = "".join(map(chr, range(33, 48))) + ":;?!«»‹›“”„‘’…¿¡—–[](){}" + MASK
"""Marks around words."""
_BRACKETS = frozenset("([（［")
"""Brackets, which often hold names."""

_ENOUGH_WORDS = re.compile(rf"(?:[\W\d_]*{WORDS.pattern}(?=['’-]?(?:[^\w'’-]|[\d_]))){{{DECIDING_WORDS}}}")


def other_language(text: str, own: str, spoken_languages: Collection[str], probability: float) -> str | None:
    """The language of ``text`` (in Latin letters) if it is another one than ``own``, else None.

    probability: its least, while the text's own is expected.
    """
    detected = language_detection.detect(text, spoken_languages, probability, (own,))
    return detected if detected != own and detected in language_detection.listed_languages() else None


def is_clause(text: str, *, begins: bool = False) -> bool:
    """True unless too many words of a text have a capital: a name, a title; begins: it begins a sentence."""
    words = [word for token in text.split() if (word := token.strip(_MARKS)) and WORDS.fullmatch(word)]
    small = sum(word[0].islower() or word == "I" for word in words)
    if begins and words and words[0][0].isupper() and words[0] != "I":
        # "Marie de la Tour" begins with a name, "She wants to know" and "O trem chegou" do not.
        first = words[0].lower()
        small += len(first) == 1 or first in language_detection.languages_by_word()
    return small >= max(LEAST_WORDS, len(words) / 2)


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
            self._language = self._detected(text[: enough.end() if enough else limit])
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
        """The language of a quotation and its opening mark if it is clearly another than the text's."""
        words = quotation[1:]
        if quotation[0] in _BRACKETS and not is_clause(words, begins=True):
            return None
        found = WORDS.findall(words)
        few = len(found) < LEAST_WORDS
        capitals = sum(word[0].isupper() for word in found)
        # "Le Monde", "Prodotti Agricoli Biologici"
        named = 2 * capitals > len(found) and (few or not language_detection.common_word_shares(words))
        if len(found) < 2 or named:
            return None
        return other_language(words, self._own, self._spoken_languages, CLEAR if few else MIN_PROBABILITY)


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
    return len(WORDS.findall(text)) > 1


def shows(text: str, language: str) -> bool:
    """True if a word of a text without a capital is among the commonest of a language (a primary subtag)."""
    common = language_detection.common_words(language)
    return any(word in common for word in WORDS.findall(text) if word.islower())


def outside_quotations(text: str) -> str:
    """The text without what stands in quotation marks or brackets, at its end also in open ones."""
    kept, rest = "", text
    while (opening := _find_opening(rest, kept[-1:])) is not None:
        kept += rest[: opening.start()]
        closing = _CLOSING[opening.group()].search(rest, opening.end())
        rest = rest[closing.end() :] if closing else ""
    return kept + rest
