"""Grammatical gender of a number by the noun after it."""

from collections.abc import Mapping
from dataclasses import dataclass

from kani_text.writing import has_letters_only


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """[agreement]: nouns by their endings, and the exceptions.

    plural_endings: of a noun after a number other than one; without any, every word may be a noun. words,
    endings: their gender ("m", "f", "n"); words come first, then the longest ending, "" is any. not_nouns:
    words that a number does not count; not_noun_beginnings: beginnings of others that stand after a number by
    chance. capitals: whether nouns are written with a capital. beginnings: for a form of numbers its gender
    and the beginnings of the nouns that need it ("uno studente", "un'ora"). measures_after: words after which
    a measure describes the noun that follows it ("a 60 L tank"), where it has no plural then.
    """

    plural_endings: tuple[str, ...]
    words: Mapping[str, str]
    endings: Mapping[str, str]
    not_nouns: frozenset[str]
    capitals: bool
    not_noun_beginnings: tuple[str, ...]
    beginnings: Mapping[str, tuple[str, tuple[str, ...]]]
    measures_after: frozenset[str]

    def knows(self, noun: str) -> bool:
        """True for a word that has its gender by itself, not by its ending."""
        return noun.lower() in self.words

    def gender(self, noun: str, plural: bool) -> str:
        """ "m", "f", "n", a form of [agreement.beginnings], or "" for a word that is no noun or has no known
        gender."""
        gender = self._gender(noun, plural)
        for form, (of, begins) in self.beginnings.items():
            if gender == of and noun.lower().startswith(begins):
                return form
        return gender

    def _gender(self, noun: str, plural: bool) -> str:
        word = noun.lower()
        if not has_letters_only(word) or (self.capitals and noun[:1].islower()) or word in self.not_nouns:
            return ""
        if plural and self.plural_endings and not word.endswith(self.plural_endings):
            return ""
        if word in self.words:
            return self.words[word]
        suffixes = (word[at:] for at in range(len(word) + 1))
        return next((self.endings[suffix] for suffix in suffixes if suffix in self.endings), "")
