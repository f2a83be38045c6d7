"""Which languages have number words of their own."""

from __future__ import annotations

import functools

from speech.normalizer.number_words import NumberWords
from speech.normalizer.numbers_ar import ArabicNumbers
from speech.normalizer.numbers_de import GermanNumbers
from speech.normalizer.numbers_en import EnglishNumbers
from speech.normalizer.numbers_es import SpanishNumbers
from speech.normalizer.numbers_fr import FrenchNumbers
from speech.normalizer.numbers_it import ItalianNumbers
from speech.normalizer.numbers_pt import PortugueseNumbers

_OWN: dict[str, type[NumberWords]] = {
    "ar": ArabicNumbers,
    "de": GermanNumbers,
    "en": EnglishNumbers,
    "es": SpanishNumbers,
    "fr": FrenchNumbers,
    "it": ItalianNumbers,
    "pt": PortugueseNumbers,
}


@functools.cache
def number_words(language: str, variety: str = "") -> NumberWords:
    """Those of ``language`` (a primary subtag that num2words knows); variety: the country's, as "pt_BR"."""
    return _OWN.get(language, NumberWords)(variety or language)
