"""Hindi numbers: a word of its own for every number to 99, and the groups of South Asia."""

from pathlib import Path

from kani_text.normalizer.number_words.words import NumberWords
from kani_text.normalizer.tables.file import read_table_file

_WORDS = read_table_file(Path(__file__).with_name("hi.toml"))
_BELOW_HUNDRED, _OF_KINGS = _WORDS.words("below_hundred"), _WORDS.words("of_kings")
_GROUPS = (
    (10**13, "नील"), (10**11, "खरब"), (10**9, "अरब"), (10**7, "करोड़"), (10**5, "लाख"), (1000, "हज़ार"),
    (100, "सौ"),
)  # fmt: skip
_ORDINALS = {
    1: "पहला", 2: "दूसरा", 3: "तीसरा", 4: "चौथा", 6: "छठा"
}  # fmt: skip
_ENDINGS = {"m": "ा", "f": "ी", "oblique": "े"}
_REGULAR_ENDINGS = {"m": "वाँ", "f": "वीं", "oblique": "वें"}


class HindiNumbers(NumberWords):
    """Forms of ordinals: "m", "f", "oblique" before a noun with a postposition, "king" after a name."""

    year_in_hundreds = "{} सौ {}"

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "एक लाख तेईस हज़ार चार सौ छप्पन"."""
        parts = []
        for value, name in _GROUPS:
            count, number = divmod(number, value)
            if count:
                parts.append(f"{self.cardinal(count)} {name}")
        if number or not parts:
            parts.append(_BELOW_HUNDRED[number])
        return " ".join(parts)

    def ordinal(self, number: int, form: str = "") -> str:
        """ "पाँचवाँ", "इक्कीसवीं", "पहले"."""
        if form == "king":
            return _OF_KINGS[number - 1] if number <= len(_OF_KINGS) else f"{self.cardinal(number)}वें"
        form = form or "m"
        if number in _ORDINALS:
            return _ORDINALS[number][:-1] + _ENDINGS[form]
        return self.cardinal(number) + _REGULAR_ENDINGS[form]
