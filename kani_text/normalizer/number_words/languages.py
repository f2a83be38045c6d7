"""Number words by language."""

import functools

from kani_text.normalizer.number_words.ar import ArabicNumbers
from kani_text.normalizer.number_words.de import GermanNumbers
from kani_text.normalizer.number_words.en import EnglishNumbers
from kani_text.normalizer.number_words.es import SpanishNumbers
from kani_text.normalizer.number_words.fr import FrenchNumbers
from kani_text.normalizer.number_words.hi import HindiNumbers
from kani_text.normalizer.number_words.it import ItalianNumbers
from kani_text.normalizer.number_words.pt import PortugueseNumbers
from kani_text.normalizer.number_words.words import NumberWords

_OWN: dict[str, type[NumberWords]] = {
    "ar": ArabicNumbers,
    "de": GermanNumbers,
    "en": EnglishNumbers,
    "es": SpanishNumbers,
    "fr": FrenchNumbers,
    "hi": HindiNumbers,
    "it": ItalianNumbers,
    "pt": PortugueseNumbers,
}


@functools.cache
def number_words(language: str, variety: str = "") -> NumberWords:
    """Number words of ``language`` (a primary subtag that num2words has); variety: the country's, as
    "pt_BR"."""
    return _OWN.get(language, NumberWords)(variety or language)
