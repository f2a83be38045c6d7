"""Symbols of the languages that Kokoro was not trained on, and speaks with an accent.

espeak-ng's IPA has sounds that Kokoro's vocabulary lacks; each becomes its nearest symbol. Voices that were
trained on espeak-ng's IPA read it far better than those that were trained on misaki's symbols (English,
Chinese, Japanese).
"""

from collections.abc import Mapping

_SLAVIC = {"t^ɕ": "ʨ", "d^ʑ": "ʥ", "ʑ": "ʒ", "ʐ": "ʒ", "ʂ": "ʃ", "ɭ": "l", "ɫ": "l"}

ACCENTED_SYMBOLS: Mapping[str, Mapping[str, str]] = {
    "de": {"ɔ^ø": "Y", "p^f": "pf", "tʃ": "ʧ", "ts": "ʦ", "ʏ": "y", "ɜ": "ɐ", "ʀ": "ʁ"},
    "nl": {"ɵ": "œ", "ʏ": "y", "ʉ": "y", "ɦ": "h", "ɫ": "l", "ʀ": "ʁ"},
    "pl": {**_SLAVIC, "ɦ": "h"},
    "ru": {**_SLAVIC, "ɵ": "o", "ʉ": "u", '"': ""},
    "tr": {"ɫ": "l", "ʏ": "y", "ɦ": "h"},
}
"""By language, which is also the name of its espeak-ng voice: IPA and the symbols for it."""
