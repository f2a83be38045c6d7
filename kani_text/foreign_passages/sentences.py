"""Sentences, lines and clauses in another language of the text's script, without marks that say so."""

from collections.abc import Collection
from dataclasses import replace
from itertools import groupby

from kani_text import language_detection
from kani_text.boundaries import BreakKind, phrase_breaks
from kani_text.foreign_passages.quotations import CLEAR, is_clause, other_language
from kani_text.languages import primary
from kani_text.segmenter import BOUNDARIES, TextSegment
from kani_text.types import Boundary

MAX_CLAUSES = 16
"""Clauses of a segment that is examined: one with more is a list of words, and each takes some 200 µs."""

_SENTENCE_ENDS = (Boundary.SENTENCE, Boundary.PARAGRAPH)


class SentenceSplitter:
    """Splits complete segments where a sentence, a line or a clause is in another language.

    No text waits for it. Nothing is split before the text's own language was seen: a text that is all in
    another one is spoken in the language that is asked for.
    """

    def __init__(self, language: str, spoken_languages: Collection[str]) -> None:
        """language: of the text (BCP 47). spoken_languages: primary subtags of those that engines speak."""
        self._own = primary(language)
        self._spoken_languages = spoken_languages
        self._own_words = language_detection.common_words(self._own)
        self._own_seen = False
        """True if a clause was clearly in the text's own language."""
        self._before = self._own
        """The language of the clause before, in the same paragraph."""
        self._inside = False
        """True if the segment before has not ended its sentence."""

    def split(self, segment: TextSegment) -> list[TextSegment]:
        """The parts of ``segment`` by language, one for each; those in another than the text's name it."""
        inside, self._inside = self._inside, segment.boundary not in _SENTENCE_ENDS
        found = set(language_detection.words_of(segment.text))
        if self._before == self._own and not self._may_be_foreign(found):
            self._own_seen = self._own_seen or not found.isdisjoint(self._own_words)
            return [segment]
        clauses = self._clauses(segment)
        if len(clauses) > MAX_CLAUSES:
            return [segment]
        languages = self._languages(clauses, inside)
        parts = []
        for language, group in groupby(zip(languages, clauses, strict=True), lambda pair: pair[0]):
            part = [clause for _, clause in group]
            text = "".join(clause.text for clause in part)
            named = None if language == self._own else language
            parts.append(replace(part[-1], start=part[0].start, text=text, language=named))
        return parts

    def _may_be_foreign(self, words: set[str]) -> bool:
        by_word = language_detection.languages_by_word()
        return any(word in by_word and word not in self._own_words for word in words)

    def _clauses(self, segment: TextSegment) -> list[TextSegment]:
        """The clauses of a segment, with the boundaries that they end with."""
        text, at, clauses = segment.text, 0, []
        for found in phrase_breaks(text, 0, True, self._own):
            if found.kind >= BreakKind.CLAUSE:
                clauses.append(TextSegment(segment.start + at, text[at : found.at], BOUNDARIES[found.kind]))
                at = found.at
        return [*clauses, TextSegment(segment.start + at, text[at:], segment.boundary)]

    def _languages(self, clauses: list[TextSegment], inside: bool) -> list[str]:
        """The language of each clause; inside: the first one begins no sentence."""
        clear = self._clear(clauses, inside)
        self._own_seen |= self._own in clear
        found: list[str] = []
        for at, clause in enumerate(clauses):
            language = clear[at]
            if not language:
                after = next(filter(None, clear[at + 1 :]), self._own)
                leaning = (one for one in (self._before, after) if self._leans(clause.text, one))
                language = next(leaning, self._before if self._before == after else self._own)
            if not self._own_seen:
                language = self._own
            found.append(language)
            self._before = self._own if clause.boundary is Boundary.PARAGRAPH else language
        return found

    def _clear(self, clauses: list[TextSegment], inside: bool) -> list[str]:
        """The language of each clause that shows it by itself, or by its sentence; empty for others."""
        clear: list[str] = []
        sentence: list[str] = []
        for clause in clauses:
            sentence.append(clause.text)
            if clause.boundary in _SENTENCE_ENDS or clause is clauses[-1]:
                found = [self._language(text, begins=text is sentence[0] and not inside) for text in sentence]
                if len(sentence) > 1 and not any(found):
                    found = [self._language("".join(sentence), begins=not inside)] * len(sentence)
                clear += found
                sentence, inside = [], False
        return clear

    def _language(self, text: str, *, begins: bool) -> str:
        """The language of a text, if that is clear; begins: it begins a sentence."""
        shares = language_detection.common_word_shares(text)
        own = shares.get(self._own, 0.0)
        if own >= max(shares.values(), default=0.0):
            return self._own if own else ""
        if not is_clause(text, begins=begins):
            return ""
        language = other_language(text, self._own, self._spoken_languages, CLEAR)
        return language if language is not None and not self._is_half_own(text, language) else ""

    def _is_half_own(self, text: str, language: str) -> bool:
        """True if a clause has too many words of the text's own language to be one in ``language``."""
        listed, common = language_detection.words_of(text), language_detection.common_words(language)
        own_only = sum(word in self._own_words and word not in common for word in listed)
        return own_only * 3 > sum(word in common for word in listed)

    def _leans(self, text: str, language: str) -> bool:
        """True if a clause beside one in ``language`` is more likely in it than in the text's own."""
        pair = (self._own, language)
        return language != self._own and language_detection.likelier(text, pair, self._own) == language
