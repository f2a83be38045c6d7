"""Splits text by language: passages in another script, and quotations and sentences in another language.

"Dijo «добрый день» y se fue" is Spanish with a passage in Russian, 'Dijo "see you later, my friend"' one in
English. Of the text's own script only passages of three words and more are told apart, and two in quotation
marks, where the evidence is clear: a single word or a name stays with the text. Words in Latin letters inside
other scripts (names, brands) are left to the engine, which knows them or spells them.
"""

from collections.abc import Collection
from dataclasses import dataclass

from kani_text import language_detection
from kani_text.foreign_passages.quotations import QuotationSplitter, has_words, outside_quotations, shows
from kani_text.foreign_passages.scripts import MAX_DETECTION_TEXT, LanguageRun, ScriptSplitter
from kani_text.foreign_passages.sentences import SentenceSplitter
from kani_text.languages import primary
from kani_text.segmenter import TextSegment

__all__ = [
    "MAX_DETECTION_TEXT",
    "ForeignPassage",
    "LanguageRun",
    "LanguageSplitter",
    "ScriptSplitter",
    "has_words",
    "outside_quotations",
    "shows",
]


@dataclass(frozen=True, slots=True)
class ForeignPassage:
    """Characters ``[start, end)`` of a client's text that another voice than the session's speaks."""

    start: int
    end: int
    language: str
    voice: str
    engine: str


class LanguageSplitter:
    """Text goes in as it comes, and comes out as runs in one language each, by script and by quotation.

    quotations: True if those in another language of the text's own script are told apart, and sentences.
    """

    def __init__(self, language: str, spoken_languages: Collection[str], *, quotations: bool = True) -> None:
        self._scripts = ScriptSplitter(language, spoken_languages)
        latin = language_detection.scripts_of(primary(language)) == {"LATIN"}
        apart = quotations and latin and len(spoken_languages) > 1
        self._quotations = QuotationSplitter(language, spoken_languages) if apart else None
        self._sentences = SentenceSplitter(language, spoken_languages) if apart else None

    def feed(self, text: str) -> list[LanguageRun]:
        """Add ``text``; returns what is certain by now."""
        return self._split(self._scripts.feed(text))

    def flush(self) -> list[LanguageRun]:
        """Return what was held back, as if the text ended here."""
        runs = self._split(self._scripts.flush())
        return runs + self._quotations.flush() if self._quotations else runs

    def by_sentence(self, segment: TextSegment) -> list[TextSegment]:
        """Return the parts of a complete segment of the text's own by the languages of its sentences."""
        return self._sentences.split(segment) if self._sentences else [segment]

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
